"""The service on Ray Serve. The one module that imports `ray.serve`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, Final

from fastapi import FastAPI
from ray import serve as ray_serve
from ray.serve.config import BackpressureConfig, HTTPOptions, ProxyLocation
from ray.serve.schema import LoggingConfig

from learners.actor import RayLearners
from serve.app import build_app
from serve.services import Plan, Services, open_services
from serve.settings import Settings

APP: Final = "rewardloop"
DEPLOYMENT: Final = "Rewardloop"
QUEUE_FACTOR: Final = 2
"""Requests that may wait in the ingress for each that a replica works on; more get 503 with Retry-After."""


def start_serve(settings: Settings, plan: Plan) -> None:
    """Start Ray Serve and the application on it; return when it answers."""
    options = HTTPOptions(host=settings.host, port=settings.port)
    logging = LoggingConfig(enable_access_log=False)
    location = ProxyLocation.HeadOnly if settings.ray_address is None else ProxyLocation.EveryNode
    ray_serve.start(proxy_location=location, http_options=options, logging_config=logging)
    ray_serve.run(_application(settings, plan), name=APP, route_prefix="/")


def stop_serve() -> None:
    """Stop the application and Ray Serve."""
    ray_serve.shutdown()


def _application(settings: Settings, plan: Plan) -> Any:
    learners = settings.learners

    def build() -> FastAPI:
        _keep_grpc_on_loopback(settings)
        replica = ray_serve.get_replica_context().replica_id.unique_id

        @asynccontextmanager
        async def opened() -> AsyncIterator[Services]:
            async with open_services(replace(plan, labels={"replica": replica}), RayLearners(learners)) as services:
                yield services

        return build_app(opened)

    deployment = ray_serve.deployment(
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


def _keep_grpc_on_loopback(settings: Settings) -> None:
    """Bind the replica's inter-deployment gRPC server to loopback: Ray 2.60 has the address fixed to all."""
    if settings.ray_address is not None:
        return
    from ray.serve._private import replica  # noqa: PLC0415 - private, hence only where it is needed

    original = replica.add_port_to_grpc_server
    replica.add_port_to_grpc_server = lambda server, _: original(server, "127.0.0.1:0")
