"""Ray's environment: what the dashboard shows, and whose token opens it."""

import os
from pathlib import Path

import pytest

from serve import ports, rayenv
from serve.settings import Settings

URL = "http://127.0.0.1:8000"
HOSTS = ("RAY_GRAFANA_HOST", "RAY_GRAFANA_IFRAME_HOST", "RAY_PROMETHEUS_HOST")


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """An environment without Ray, and without what `prepare` leaves in it."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    monkeypatch.setattr(os, "environ", own)
    return own


def prepare(folder: Path, *, serves: bool = True, **given: object) -> None:
    settings = Settings(data_dir=folder, haproxy=False, **given)  # type: ignore[arg-type]
    rayenv.prepare(settings, folder, URL, serves=serves)


@pytest.mark.parametrize("serves", [True, False])
def test_only_who_serves_takes_ports(tmp_path: Path, environment: dict[str, str], serves: bool) -> None:
    prepare(tmp_path, serves=serves)
    assert ({*ports.SINGLE} <= {*environment}) is serves


def test_the_dashboard_is_told_of_the_console(tmp_path: Path, environment: dict[str, str]) -> None:
    prepare(tmp_path)
    assert {environment[name] for name in HOSTS} == {f"{URL}/console"}
    assert environment["RAY_GRAFANA_DEFAULT_DASHBOARD_UID"] == "models"


@pytest.mark.parametrize("name", HOSTS)
def test_a_grafana_or_prometheus_of_ones_own_is_left_alone(
    tmp_path: Path, environment: dict[str, str], name: str
) -> None:
    environment[name] = "http://grafana:3000"
    prepare(tmp_path)
    found = {key: value for key, value in environment.items() if "GRAFANA" in key or "PROMETHEUS" in key}
    assert found == {name: "http://grafana:3000"}


def test_a_cluster_of_others_has_a_dashboard_of_its_own(tmp_path: Path, environment: dict[str, str]) -> None:
    prepare(tmp_path, ray_address="10.0.0.1:6379")
    assert not set(HOSTS) & set(environment)
    assert rayenv.dashboard_token(Settings(data_dir=tmp_path, ray_address="10.0.0.1:6379")) is None


def test_the_token_is_the_one_that_ray_takes(tmp_path: Path, environment: dict[str, str]) -> None:
    prepare(tmp_path)
    settings = Settings(data_dir=tmp_path)
    assert rayenv.dashboard_token(settings) == (tmp_path / "ray_token").read_text()
    environment["RAY_AUTH_TOKEN"] = "given"
    assert rayenv.dashboard_token(settings) == "given"
    environment["RAY_AUTH_MODE"] = "disabled"
    assert rayenv.dashboard_token(settings) is None
