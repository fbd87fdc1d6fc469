"""Contact policies, and what they keep from a customer now."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from serve.contact_policies import CONTACT_POLICY, Suppression, checked, held_back
from serve.paging import Cursor, Limit, page
from serve.routes.catalog import item_routes, list_route
from serve.routing import GatedRoute, caller_of, services_of
from storage import contacts
from storage.clock import iso, now_ms
from storage.config import Doc

policies = item_routes(CONTACT_POLICY, "/contact-policies", "policies", checked)
list_route(policies, CONTACT_POLICY)

router = APIRouter(prefix="/customers", tags=["policies"], route_class=GatedRoute)


@router.get("/{customer_id:id}/suppressions", summary="What a customer is not shown now")
async def suppressions(request: Request, customer_id: str, limit: Limit = 25, cursor: Cursor = None) -> Response:
    """Answer what contact policies keep from the customer, and until when; the most important policy first."""
    services, tenant, time_ms = services_of(request), caller_of(request).tenant, now_ms()
    met = await contacts.read(services.redis, tenant.partition, tenant.id, customer_id, time_ms)
    found = held_back(tenant.policies, met, tenant.categories, time_ms)
    rows = [_row(number, one) for number, one in enumerate(found)]
    answer = page(rows, limit, cursor, lambda row: (f"{row['number']:06d}",))
    answer["data"] = [{name: value for name, value in row.items() if name != "number"} for row in answer["data"]]
    return JSONResponse(answer)


def _row(number: int, one: Suppression) -> Doc:
    return {
        "number": number,
        "policyId": one.policy.id,
        "policyName": one.policy.name,
        "ruleType": one.policy.rule_type,
        "scope": one.place.scope,
        "scopeId": one.place.id or None,
        "until": iso(one.until_ms),
    }
