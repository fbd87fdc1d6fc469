"""The service on Ray Serve. The one module that imports `ray.serve`."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, Final

from fastapi import FastAPI
from ray import serve as ray_serve
from ray.serve.config import BackpressureConfig, HTTPOptions, ProxyLocation
from ray.serve.schema import LoggingConfig

from learners.remote import RayLearners
from serve.app import build_app
from serve.cluster import make_plan, start_learners
from serve.console.dashboard import Dashboard
from serve.plan import Plan
from serve.rayenv import dashboard_token
from serve.services import Services, open_services
from serve.settings import PREFIX, Settings, SettingsError, load_settings
from serve.short_way import ShortWay

APP: Final = "rewardloop"
DEPLOYMENT: Final = "Rewardloop"
QUEUE_FACTOR: Final = 2
"""Requests that may wait for each that a replica works on; more get 503 with Retry-After."""


def start_serve(settings: Settings, plan: Plan) -> None:
    """Start Ray Serve and the application on it; return when it answers."""
    options = HTTPOptions(host=settings.host, port=settings.port)
    logging = LoggingConfig(enable_access_log=False)
    location = ProxyLocation.HeadOnly if settings.ray_address is None else ProxyLocation.EveryNode
    ray_serve.start(proxy_location=location, http_options=options, logging_config=logging)
    ray_serve.run(_application(settings, plan), name=APP, route_prefix="/")


def from_environment(_: dict[str, str]) -> Any:
    """Return the application on a Ray that runs already, with learners started anew; settings as everywhere.

    This is what `import_path` in a configuration of Ray Serve names, and so in a RayService of Kubernetes. What a
    node keeps on its disk goes with the node, so Redis, the pepper and the archive must be set.

    Raises:
        SettingsError: a setting is wrong, or missing.
        ServiceError: Redis does not answer, or was set up otherwise.
    """
    settings = load_settings(ray_address="auto")
    for name in ("redis_url", "pepper", "archive"):
        if getattr(settings, name) is None:
            raise SettingsError(f"{PREFIX}{name.upper()} must be set where Ray runs on its own")
    plan = make_plan(settings, str(settings.redis_url))
    start_learners(settings, plan)
    return _application(settings, plan)


def stop_serve() -> None:
    """Stop the application and Ray Serve."""
    ray_serve.shutdown()  # type: ignore[no-untyped-call]  # Ray's own annotations


def _application(settings: Settings, plan: Plan) -> Any:
    learners = settings.learners

    def build() -> FastAPI:
        _fit_replica(settings)
        own = replace(
            plan,
            labels={"replica": ray_serve.get_replica_context().replica_id.unique_id},
            dashboard=_dashboard(settings),
        )

        @asynccontextmanager
        async def opened() -> AsyncIterator[Services]:
            async with open_services(own, RayLearners(learners)) as services:
                ShortWay.loop = asyncio.get_running_loop()
                yield services

        ShortWay.app = build_app(opened, settings.max_ongoing_requests * (1 + QUEUE_FACTOR))
        return ShortWay.app

    deployment: Any = ray_serve.deployment(
        ray_serve.ingress(build)(),
        name=DEPLOYMENT,
        num_replicas=settings.replicas,
        max_ongoing_requests=settings.max_ongoing_requests,
        max_queued_requests=settings.max_ongoing_requests * QUEUE_FACTOR,
        backpressure_config=BackpressureConfig(status_code=503, retry_after_s=1),
        ray_actor_options={"num_cpus": 0},
        logging_config=LoggingConfig(enable_access_log=False),
        health_check_period_s=2,
        health_check_timeout_s=10,
        graceful_shutdown_timeout_s=2,
        graceful_shutdown_wait_loop_s=0.1,
    )
    return deployment.bind()


def _dashboard(settings: Settings) -> Dashboard | None:
    """Return the local Ray's dashboard, whose token this process has in its environment, as Ray's own have."""
    if settings.ray_address is not None:
        return None
    return Dashboard(settings.dashboard_port, dashboard_token(settings))


def _fit_replica(settings: Settings) -> None:
    """Change two things that Ray 2.60 has no setting for, before the replica opens its ports.

    Its inter-deployment gRPC server binds to all addresses; and a middleware of its own adds a second X-Request-Id,
    an insane one as it came. Both are private names: the exact pin of Ray and a test on each stand behind this.
    """
    from ray.serve._private import http_util, replica  # noqa: PLC0415 - private, hence only where it is needed

    vars(http_util)["RequestIdMiddleware"] = ShortWay
    if settings.ray_address is None:
        original = vars(replica)["add_port_to_grpc_server"]
        vars(replica)["add_port_to_grpc_server"] = lambda server, _: original(server, "127.0.0.1:0")
