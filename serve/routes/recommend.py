"""POST /recommend: the offers to show, ranked by what the models have learned.

It skips FastAPI's parameter handling, for it is a hot path; `serve.openapi` documents it.
"""

from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from serve import contact_policies, recommend
from serve.errors import ApiError, bad_request, unavailable
from serve.gate import BODY_BYTES, STALE_RETRIES, Caller, limit_headers, limited, read_body
from serve.jsonbody import parse_object
from serve.recommend import Decided, RecommendBody
from serve.respond import DAY_MS
from serve.routing import JSON_ONLY, services_of, tell_limit
from serve.services import Services
from serve.tenancy import Tenant
from storage import contacts
from storage.caps import Cap
from storage.clock import now_ms
from storage.commit import Committed
from storage.contacts import Contacts
from storage.decisions import Deciding, reached_of

POSITION_WAIT_S: Final = 0.25
"""How long a caller who asks for a log position waits for it."""


async def recommend_one(request: Request) -> Response:
    """Decide what to show to a customer, and log it before answering."""
    services = services_of(request)
    caller = await services.gate.identify(request.headers, "recommend")
    raw = await read_body(request, BODY_BYTES, JSON_ONLY)
    try:
        body = recommend.parse(parse_object(raw))
        min_position = _position(request.headers.get("x-min-log-position"))
        decided, committed, caller = await _decide(services, caller, body, min_position)
    except ApiError as error:
        if error.status == 400:  # an invalid request counts too
            _, headers = await services.gate.admit(caller, "recommend", "recommend")
            tell_limit(request, headers)
        raise
    limit = caller.tenant.limit("recommend")
    if committed.status == "limited":
        raise limited("recommend", limit, committed.wait_ms)
    services.metrics.decision(len(decided.decision.shown))
    tell_limit(request, limit_headers("recommend", limit, committed.remaining))
    text = msgspec.json.encode(recommend.answer(body, decided))
    headers = {"X-Log-Position": str(decided.held.position)}
    return Response(text, 200, headers, media_type="application/json")


async def _decide(
    services: Services, caller: Caller, body: RecommendBody, min_position: int
) -> tuple[Decided, Committed, Caller]:
    """Decide and log it; what was decided on old knowledge, or hit a cap, is decided again."""
    over: set[Cap] = set()
    for _ in range(STALE_RETRIES):
        tenant = caller.tenant
        try:
            where = recommend.place(body, tenant.config)
        except ApiError:
            fresh = await services.gate.renew(caller)  # it may have been made a moment ago, on another replica
            if fresh.tenant is tenant:
                raise
            caller = fresh
            continue
        seat = tenant.seat(body.customer_id)
        model = (tenant.id, seat.model_id)
        held = await services.snapshots.get(tenant.partition, model, min_position, POSITION_WAIT_S)
        if held.snapshot is None:
            raise unavailable()
        time_ms = now_ms()
        reached = {*tenant.reached(time_ms), *over}
        met = await _met(services, tenant, body.customer_id, time_ms)
        held_back = contact_policies.held_back(tenant.policies, met, tenant.categories, time_ms)
        decided = recommend.decide(body, tenant, where, held, seat, held_back, reached, services.rng, time_ms)
        ttl_ms = tenant.settings["recommendationTtlDays"] * DAY_MS
        limit, days_kept = tenant.limit("recommend"), tenant.settings["retentionDays"]
        caps = [cap for cap in tenant.caps if cap not in reached]
        item = Deciding(
            tenant.config.version, "recommend", limit, ttl_ms, days_kept, decided.decision, caps, met.position
        )
        [committed] = await services.decisions.submit(tenant.partition, [item])
        if committed.status == "capped":
            over.update(reached_of(caps, committed))
            tenant.note_reached(over, time_ms)
            continue
        if committed.status == "contacted":
            continue
        if committed.status != "stale":
            return decided, committed, caller
        caller = await services.gate.renew(caller)
    raise unavailable()


async def _met(services: Services, tenant: Tenant, customer_id: str, time_ms: int) -> Contacts:
    """Return what the customer has met; nothing where no policy asks."""
    if not contact_policies.look_back(tenant.policies):
        return contacts.UNKNOWN
    return await contacts.read(services.redis, tenant.partition, tenant.id, customer_id, time_ms)


def _position(header: str | None) -> int:
    if header is None:
        return 0
    if not (header.isascii() and header.isdigit() and len(header) <= 18):
        raise bad_request("X-Min-Log-Position", "must be a decimal integer of at most 18 digits")
    return int(header)
