"""The audit log of a tenant's configuration: read and verified, never written."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from serve.errors import bad_request
from serve.paging import Cursor, Limit, newest_page, place_of
from serve.routing import GatedRoute, caller_of, services_of
from storage import audit

router = APIRouter(prefix="/audit-logs", tags=["audit"], route_class=GatedRoute)


@router.get("", summary="List the audit log, newest first")
async def rows(request: Request, limit: Limit = 25, cursor: Cursor = None) -> Response:
    """Answer who changed what, from what to what; secrets are left out."""
    redis, tenant = services_of(request).redis, caller_of(request).tenant
    before = None if cursor is None else _number(cursor)
    found = await audit.newest(redis, tenant.partition, tenant.id, limit + 1, before)
    total = await audit.count(redis, tenant.partition, tenant.id)
    return JSONResponse(newest_page(found, total, limit, lambda row: (row["timestamp"], row["id"])))


@router.get("/verify", summary="Check that no row was changed, removed or moved")
async def verify(request: Request) -> Response:
    """Answer whether the chain of hashes holds, and where it breaks."""
    tenant = caller_of(request).tenant
    verdict = await audit.verify(services_of(request).redis, tenant.partition, tenant.id)
    broken = {} if verdict.broken_at is None else {"brokenAtId": verdict.broken_at}
    return JSONResponse({"intact": verdict.broken_at is None, "verified": verdict.verified, **broken})


def _number(cursor: str) -> int:
    try:
        return audit.row_number(place_of(cursor)[-1])
    except ValueError:
        raise bad_request("cursor", "is not one that a list returned") from None
