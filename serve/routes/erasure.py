"""Erasure: a customer is forgotten, what was learned stays."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from serve.fields import Body, Id
from serve.routing import AdminRoute, author_of, caller_of, services_of
from storage.erasure import erase

router = APIRouter(prefix="/gdpr", tags=["erasure"], route_class=AdminRoute)


class ErasureBody(Body):
    """Whom to forget."""

    customer_id: Id


@router.post("/erasure", summary="Erase a customer")
async def erasure(request: Request, body: ErasureBody) -> Response:
    """Delete what is kept of a customer, and put a pseudonym into log and archive; repeat it where it failed."""
    services, tenant = services_of(request), caller_of(request).tenant
    erased = await erase(services.redis, tenant.partition, tenant.id, body.customer_id, author_of(request))
    return JSONResponse(
        {
            "customerId": body.customer_id,
            "pseudonym": erased.pseudonym,
            "deleted": {
                "summaries": erased.summaries,
                "history": erased.history,
                "recommendations": erased.recommendations,
            },
            "pseudonymised": {"log": erased.log, "archive": erased.archive},
        }
    )
