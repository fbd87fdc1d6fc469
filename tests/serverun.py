"""The application as Kubernetes runs it: `serve run` of the RayService's configuration on a Ray of this machine."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import httpx
import psutil
import yaml

from serve import rayenv
from serve.settings import load_settings
from storage.rundir import run_dir
from tests.manifests import named
from tests.service import free_port, until

START_S = 180


def serve_config(port: int) -> dict[str, Any]:
    """Return serveConfigV2 of deploy/kubernetes/rayservice.yaml, on loopback."""
    config: dict[str, Any] = yaml.safe_load(named("RayService", "rewardloop")["spec"]["serveConfigV2"])
    config["http_options"] = {"host": "127.0.0.1", "port": port}
    return config


def ray_environment(data_dir: Path, **settings: str) -> dict[str, str]:
    """Return the environment of the service's pods, where Ray keeps out of the way of others on this machine."""
    with mock.patch.dict(os.environ):
        rayenv.prepare(load_settings(data_dir=data_dir, port=free_port()), run_dir(data_dir), "http://127.0.0.1")
        own = {"RAY_ADDRESS": "local", "RAY_TMPDIR": str(run_dir(data_dir)), "REWARDLOOP_REPLICAS": "1"}
        return {**os.environ, **named("ConfigMap", "rewardloop")["data"], **own, **settings}


@contextmanager
def ray_service(data_dir: Path, environment: Mapping[str, str]) -> Iterator[str]:
    """Run it on a Ray of its own, or on that of `RAY_ADDRESS`; yield where it answers."""
    port = free_port()
    config = data_dir / "serve.yaml"
    config.write_text(yaml.safe_dump(serve_config(port)))
    command = [str(Path(sys.executable).with_name("serve")), "run", str(config)]
    log = data_dir / "serve.txt"
    with log.open("wb") as out:
        process = subprocess.Popen(command, env=environment, stdout=out, stderr=out, cwd=data_dir)
    url = f"http://127.0.0.1:{port}"

    def ready() -> bool:
        assert process.poll() is None, log.read_text()[-5000:]
        try:
            return httpx.get(f"{url}/-/readyz", timeout=5).status_code == 200
        except httpx.HTTPError:
            return False

    tree: list[psutil.Process] = []
    try:
        until(ready, START_S, "Ray Serve runs the application")
        tree = psutil.Process(process.pid).children(recursive=True)
        yield url
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)
        _, left = psutil.wait_procs(tree, timeout=10)
        for one in left:
            one.kill()
