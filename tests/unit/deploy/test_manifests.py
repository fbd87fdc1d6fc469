"""deploy/: every file is what its reader takes, and every setting in it is one."""

import inspect
import json
import re
import tomllib
from collections.abc import Iterator
from copy import deepcopy
from importlib import import_module
from importlib.metadata import version
from importlib.resources import files
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml
from pydantic import ValidationError

from learners import kernels
from serve.settings import PREFIX, Settings
from storage.durability import WANTED
from tests.manifests import DEPLOY, ROOT, compose, kubernetes, named
from tests.rayserve import DEPLOYMENT, ServeDeploySchema
from tests.rayservice import RayService

KUBERNETES = "1.30"
"""The oldest Kubernetes that the manifests are checked against; the newest is what the validator has."""
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = PYPROJECT["project"]
SETTINGS = {PREFIX + name.upper() for name in Settings.model_fields}


def service() -> RayService:
    return RayService.model_validate(named("RayService", "rewardloop"))


def pods() -> Iterator[dict[str, Any]]:
    """Return what the pods of the manifests are like."""
    cluster = service().spec.ray_cluster_config
    yield cluster.head_group_spec.template.spec
    yield from (group.template.spec for group in cluster.worker_group_specs)
    yield named("StatefulSet", "rewardloop-redis")["spec"]["template"]["spec"]


def ray_pods() -> list[dict[str, Any]]:
    return list(pods())[:-1]


@pytest.mark.parametrize("release", [KUBERNETES, kubernetes_validate.latest_version()])
def test_kubernetes_takes_every_object(release: str) -> None:
    own = [one for one in kubernetes() if not one["apiVersion"].startswith("ray.io/")]
    pod = [{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": spec} for spec in pods()]
    assert {one["kind"] for one in own} >= {"ConfigMap", "Secret", "Service", "StatefulSet", "NetworkPolicy"}
    for one in (*own, *pod):
        kubernetes_validate.validate(one, release, strict=True)


def test_the_check_can_fail() -> None:
    redis = deepcopy(named("StatefulSet", "rewardloop-redis"))
    redis["spec"]["template"]["spec"]["containers"][0]["prots"] = []
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(redis, KUBERNETES, strict=True)
    broken = deepcopy(named("RayService", "rewardloop"))
    broken["spec"]["rayClusterConfig"]["headGroupSpec"]["rayStartParams"]["num-cpus"] = 0
    with pytest.raises(ValidationError, match="num-cpus"):
        RayService.model_validate(broken)


def test_kuberay_takes_the_service_and_ray_serve_its_configuration() -> None:
    spec = service().spec
    config = ServeDeploySchema.model_validate(yaml.safe_load(spec.serve_config_v2))
    [application] = config.applications
    module, _, name = str(application.import_path).partition(":")
    builder = getattr(import_module(module), name)
    assert len(inspect.signature(builder).parameters) == 1, "Ray Serve calls it with the arguments"
    assert [one.name for one in application.deployments] == [DEPLOYMENT]
    assert spec.ray_cluster_config.ray_version == version("ray")
    ports = {port["name"]: port["containerPort"] for port in ray_pods()[1]["containers"][0]["ports"]}
    assert config.http_options.port == ports["serve"]


def test_compose_takes_its_file() -> None:
    schema = json.loads((files("check_jsonschema") / "builtin_schemas/vendor/compose-spec.json").read_text())
    validator = jsonschema.validators.validator_for(schema)(schema)
    validator.validate(compose())
    with pytest.raises(jsonschema.ValidationError):
        validator.validate({"services": {"redis": {"imagee": "redis"}}})


def environments() -> Iterator[tuple[str, str]]:
    """Yield each file of deploy/ with a name of an environment variable of ours that it speaks of."""
    for path in sorted(DEPLOY.rglob("*")):
        if path.is_file():
            for name in re.findall(rf"\b{PREFIX}[A-Z_]+\b", path.read_text(encoding="utf-8")):
                yield path.name, name


def test_every_variable_is_a_setting() -> None:
    found = list(environments())
    assert {path for path, _ in found} >= {"compose.yaml", "rayservice.yaml", "secrets.example.yaml", "Dockerfile"}
    assert {name for _, name in found} <= SETTINGS


def test_the_settings_that_a_cluster_needs_are_given_and_can_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {**named("ConfigMap", "rewardloop")["data"], **named("Secret", "rewardloop")["stringData"]}
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    settings = Settings()
    assert None not in {settings.redis_url, settings.pepper, settings.archive}
    rayenv = (ROOT / "serve" / "rayenv.py").read_text(encoding="utf-8")
    others = {name: value for name, value in given.items() if not name.startswith(PREFIX)}
    assert others.items() >= kernels.AVX2.items()
    assert [name for name in others if name not in kernels.AVX2 and f'"{name}"' not in rayenv] == []


def test_pods_of_ray_get_no_variables_that_are_no_settings() -> None:
    """Kubernetes adds REWARDLOOP_REDIS_PORT=tcp://… for a Service rewardloop-redis, which would be refused."""
    for pod in ray_pods():
        assert pod["enableServiceLinks"] is False
        [container] = pod["containers"]
        assert [{"configMapRef", "secretRef"} & set(one) for one in container["envFrom"]]
        assert container["image"] == f"rewardloop:{PROJECT['version']}"


def test_pods_run_as_nobody_in_particular_and_may_gain_nothing() -> None:
    for pod in pods():
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["automountServiceAccountToken"] is False
        for container in pod["containers"]:
            assert container["securityContext"]["allowPrivilegeEscalation"] is False
            assert {"requests", "limits"} <= set(container["resources"])


def test_redis_keeps_what_it_acknowledges() -> None:
    args = named("StatefulSet", "rewardloop-redis")["spec"]["template"]["spec"]["containers"][0]["args"]
    command = compose()["services"]["redis"]["command"][-1].split()
    for said in (args, command):
        for name, wanted in WANTED.items():
            assert said[said.index(f"--{name}") + 1] == wanted


def test_compose_publishes_on_loopback_only_and_waits_for_redis() -> None:
    services = compose()["services"]
    assert [port for one in services.values() for port in one.get("ports", [])] == ["127.0.0.1:8000:8000"]
    assert all("healthcheck" in one for one in services.values())
    assert services["rewardloop"]["depends_on"] == {"redis": {"condition": "service_healthy"}}
    assert {mount.split(":")[0] for one in services.values() for mount in one["volumes"]} == set(
        compose()["volumes"]
    )
    assert services["rewardloop"]["image"] == f"rewardloop:{PROJECT['version']}"


def test_the_image_is_made_of_files_that_are_there() -> None:
    lines = (DEPLOY / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
    copied = [part for line in lines if line.startswith("COPY ") for part in line.split()[1:-1]]
    assert {name.split(".")[0] for name in PYPROJECT["tool"]["setuptools"]["packages"]} <= set(copied)
    assert all((ROOT / name).exists() for name in copied)
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    assert {f"!{name}" for name in copied} <= set(ignored), "the rest of the repository is not sent to the builder"
    [base] = [line for line in lines if line.startswith("FROM ")]
    found = re.search(r"python:3\.(\d+)-", base)
    assert found is not None
    assert 11 <= int(found[1]) < 13
    assert any(line.startswith("USER ") and line != "USER root" for line in lines)


def test_no_secret_is_kept_in_the_repository() -> None:
    for one in kubernetes():
        if one["kind"] == "Secret":
            assert all("replace-me" in value for value in one["stringData"].values())
    assert "deploy/.env" in (ROOT / ".gitignore").read_text(encoding="utf-8").split()
