"""`python -m benchmarks.speed.noop`: an endpoint that does nothing, on Ray Serve as we have it or by default."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from serve import cluster
from serve.settings import load_settings
from serve.stopping import Stop, signals

DEFAULT = {"RAY_SERVE_THROUGHPUT_OPTIMIZED": "0", "RAY_SERVE_ENABLE_HA_PROXY": "0"}


def main(
    *,
    port: Annotated[int, typer.Option(help="Port to serve on.")],
    data_dir: Annotated[Path, typer.Option(help="Folder of its own.")],
    default: Annotated[bool, typer.Option(help="Ray Serve as it comes, with its Python proxy.")] = False,
) -> None:
    """Serve `POST /noop` until SIGTERM; prints `ready` when it answers."""
    if default:
        os.environ.update(DEFAULT)
    data_dir.mkdir(parents=True, exist_ok=True)
    settings = load_settings(port=port, data_dir=data_dir, haproxy=not default)
    stop = Stop()
    with cluster.local_ray(settings), signals(stop):
        _serve(port)
        print("ready", flush=True)
        while not stop.wait(0.1):
            pass
        _stop()


def _serve(port: int) -> None:
    from ray import serve as ray_serve  # noqa: PLC0415 - the environment is set before Ray is imported
    from ray.serve.config import HTTPOptions, ProxyLocation  # noqa: PLC0415
    from ray.serve.schema import LoggingConfig  # noqa: PLC0415

    quiet = LoggingConfig(enable_access_log=False)
    options = HTTPOptions(host="127.0.0.1", port=port)
    ray_serve.start(proxy_location=ProxyLocation.HeadOnly, http_options=options, logging_config=quiet)
    deployment = ray_serve.deployment(
        ray_serve.ingress(_build)(),
        name="Noop",
        max_ongoing_requests=512,
        ray_actor_options={"num_cpus": 0},
        logging_config=quiet,
        graceful_shutdown_timeout_s=2,
    )
    ray_serve.run(deployment.bind(), name="noop", route_prefix="/")


def _build() -> object:
    from fastapi import FastAPI  # noqa: PLC0415 - built in the replica

    app = FastAPI()

    @app.post("/noop")
    async def noop() -> dict[str, str]:
        return {"status": "recorded"}

    return app


def _stop() -> None:
    from ray import serve as ray_serve  # noqa: PLC0415

    ray_serve.shutdown()


if __name__ == "__main__":
    typer.run(main)
