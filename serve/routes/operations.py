"""Routes for those who run the service; none asks for a key, none tells of a tenant."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from learners.errors import LearnersUnavailable
from serve.routing import services_of
from serve.services import Services
from storage.errors import StorageUnavailable
from storage.scripts import wrapped_errors

READY_LAG_MS = 1_000
PROMETHEUS_TEXT = "text/plain; version=0.0.4; charset=utf-8"

router = APIRouter(tags=["operations"])


@router.get("/-/healthz", summary="The process is alive")
async def healthz() -> dict[str, str]:
    """Answer as long as the process runs; storage and learners do not matter."""
    return {"status": "alive"}


@router.get("/-/readyz", summary="Storage answers and the learners have caught up", responses={503: {}})
async def readyz(request: Request) -> Response:
    """Answer 200 when an outcome can be recorded and is learned from within a second, else 503 with reasons."""
    services = services_of(request)
    reasons = [*await _storage_reasons(services)]
    learners, learner_reasons = await _learner_reasons(services)
    reasons += learner_reasons
    body = {"status": "ready" if not reasons else "unready", "reasons": reasons, "learners": learners}
    return JSONResponse(body, 503 if reasons else 200, headers={"Retry-After": "1"} if reasons else None)


@router.get("/-/metrics", summary="Prometheus figures of this replica", response_class=Response)
async def metrics(request: Request) -> Response:
    """Answer this replica's figures in Prometheus's text format."""
    return Response(services_of(request).metrics.text(), media_type=PROMETHEUS_TEXT)


async def _storage_reasons(services: Services) -> list[str]:
    try:
        with wrapped_errors():
            await services.redis.ping()
    except StorageUnavailable:
        return ["storage does not answer"]
    return []


async def _learner_reasons(services: Services) -> tuple[list[dict[str, object]], list[str]]:
    try:
        status = await services.learners.status()
    except LearnersUnavailable as error:
        return [], [str(error)]
    rows: list[dict[str, object]] = [
        {
            "name": one.name,
            "partitions": one.partitions,
            "position": sum(one.positions.values()),
            "behind": one.behind,
            "lagMs": one.lag_ms,
            "archiveError": one.archive_error,
        }
        for one in status
    ]
    return rows, [f"{one.name} lags {one.lag_ms} ms" for one in status if one.lag_ms > READY_LAG_MS]
