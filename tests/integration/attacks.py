"""What attacks need: a body that each route accepts, what must be there before, and what must hold after."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import httpx

from serve.app import build_app
from storage import keys, tenants
from tests.integration.conftest import PEPPER, Api
from tests.integration.source import names

API: Final = "/api/v1"
Json = dict[str, Any]

_OUTCOME: Final[Json] = {
    "customerId": "c1",
    "creativeId": "cr1",
    "outcome": "click",
    "timestamp": "2026-01-01T00:00:00Z",
    "conversionValue": 5.5,
    "attributes": {"age": 38},
    "context": {"page": "home"},
    "outcomeDetails": {"a": [1]},
}
_METRIC: Final[Json] = {"aggregateFunction": "sum", "sourceField": "conversionValue", "windowDays": 7}
_CAP: Final[Json] = {"name": "Cap", "scope": "offer", "scopeId": "o1", "maxVolume": 10**6, "period": "daily"}
_POLICY: Final[Json] = {
    "name": "Quiet",
    "ruleType": "cooldown",
    "config": {"cooldownHours": 1},
    "status": "paused",
    "scopes": [{"scope": "offer", "scopeId": "o2"}],
}
_EXPERIMENT: Final[Json] = {
    "key": "e1",
    "championModelId": "model_default",
    "trafficSplit": {"championPct": 50},
    "challengers": [{"modelId": "m1", "trafficPct": 50}],
    "holdoutPercent": 10,
}
_MODEL: Final[Json] = {"key": "m1", "modelType": "lin_ts", "status": "shadow", "config": {"explore": 0.2}}
_OFFER: Final[Json] = {
    "name": "Bronze",
    "priority": 5,
    "businessValue": 2.5,
    "tags": ["a"],
    "metadata": {"a": 1},
    "schedule": {"endAt": "2030-01-01T00:00:00Z"},
}
_CREATIVE: Final[Json] = {"name": "C", "offerId": "o1", "channelId": "ch1", "weight": 5, "content": {"a": 1}}
_SETTINGS: Final[Json] = {"retentionDays": 400, "holdoutPercent": 0, "idempotency": {"ttlHours": 24}}

BODIES: Final[dict[str, Json]] = {
    "POST /respond": {**_OUTCOME, "idempotencyKey": "k1"},
    "POST /respond/bulk": {"outcomes": [{**_OUTCOME, "idempotencyKey": "k2"}]},
    "POST /recommend": {"customerId": "c1", "attributes": {"age": 38}, "segments": ["new"], "context": {"a": 1}},
    "PUT /recommendations/{}": {
        "customerId": "c1",
        "decisions": [{"rank": 1, "creativeId": "cr1", "propensity": 0.5}],
        "attributes": {"age": 38},
    },
    "POST /outcome-types": {"key": "wow", "name": "Wow", "classification": "positive", "ordinal": 3},
    "PUT /outcome-types/{}": {"name": "Wow", "ordinal": 4},
    "POST /categories": {"name": "Nine"},
    "PUT /categories/{}": {"name": "Ten"},
    "POST /channels": {"name": "Nine", "channelType": "sms"},
    "PUT /channels/{}": {"name": "Ten", "impressionMode": "explicit"},
    "POST /placements": {"name": "Nine", "channelId": "ch1"},
    "PUT /placements/{}": {"name": "Ten", "slotType": "banner"},
    "POST /offers": _OFFER,
    "PUT /offers/{}": {**_OFFER, "name": "Iron"},
    "POST /creatives": _CREATIVE,
    "PUT /creatives/{}": {**_CREATIVE, "name": "D"},
    "PUT /catalog": {"offers": [{**_OFFER, "id": "o8", "name": "Eight"}]},
    "POST /algorithm-models": {**_MODEL, "key": "m2"},
    "PUT /algorithm-models/{}": {"name": "M", "config": {"explore": 0.3}, "outcomeWeights": {"click": 0.5}},
    "POST /algorithm-models/{}/promote": {"to": "draft"},
    "POST /algorithm-models/{}/score": {"attributes": {"age": 38}, "offerIds": ["o1"]},
    "POST /attribution": {"customerId": "c1", "conversionId": "none", "model": "linear"},
    "POST /behavioral-metrics": {**_METRIC, "name": "Revenue", "filterConditions": {"offerId": "o1"}},
    "PUT /behavioral-metrics/{}": {**_METRIC, "groupByDimensions": ["offerId"]},
    "POST /frequency-caps": {**_CAP, "period": "weekly"},
    "PUT /frequency-caps/{}": _CAP,
    "POST /contact-policies": {**_POLICY, "name": "Quieter"},
    "PUT /contact-policies/{}": _POLICY,
    "POST /experiments": {**_EXPERIMENT, "key": "e2"},
    "PUT /experiments/{}": {**_EXPERIMENT, "holdoutPercent": 5},
    "POST /gdpr/erasure": {"customerId": "c9"},
    "POST /api-keys": {"name": "k", "scopes": ["read"], "expiresAt": "2100-01-01T00:00:00Z"},
    "POST /tenants": {"id": "made", "name": "Made"},
    "PUT /tenants/{}/settings": _SETTINGS,
    "PUT /settings": _SETTINGS,
}
"""By method and path, with {} for each parameter."""


async def prepare(api: Api) -> dict[str, str]:
    """Make one item of each kind, take the limits away; return the value of the parameter by the path's start."""
    limits = dict.fromkeys(("respond", "bulk", "recommend", "default"), 1_000_000)
    assert (await api.put("/settings", {"rateLimits": limits})).status_code == 200
    made: dict[str, str] = {}
    for path, body in (
        ("/outcome-types", {"key": "nine", "name": "N"}),
        ("/categories", {"name": "N"}),
        ("/channels", {"name": "N", "channelType": "sms"}),
        ("/placements", {"name": "N", "channelId": "ch1"}),
        ("/offers", {"name": "N"}),
        ("/creatives", {**_CREATIVE, "name": "N"}),
        ("/behavioral-metrics", {**_METRIC, "name": "N"}),
        ("/frequency-caps", _CAP),
        ("/contact-policies", _POLICY),
        ("/algorithm-models", {**_MODEL, "id": "m1"}),
        ("/experiments", _EXPERIMENT),
    ):
        answer = await api.post(path, body)
        assert answer.status_code == 201, answer.text
        made[path] = answer.json()["id"]
    return {**made, "/recommendations": "r1", "/customers": "c1", "/tenants": api.tenant, "/api-keys": "none"}


def document() -> Json:
    """Return the OpenAPI document."""
    return build_app(None).openapi()  # type: ignore[arg-type]  # it is never opened


def with_body() -> list[tuple[str, str]]:
    """Return method and path, behind the prefix, of each operation that takes a body."""
    found = [
        (method.upper(), path.removeprefix(API))
        for path, each in document()["paths"].items()
        for method, operation in each.items()
        if "requestBody" in operation
    ]
    assert {name_of(*one) for one in found} == set(BODIES), "each route that takes a body has one in BODIES"
    return found


def name_of(method: str, path: str) -> str:
    """Return what a route is called in BODIES."""
    return f"{method} {filled(path, {}, '{}')}"


def filled(path: str, places: dict[str, str], otherwise: str = "none") -> str:
    """Return a path with its parameter put in."""
    return re.sub(r"{[^}]*}", lambda _: places.get(f"/{path.split('/')[1]}", otherwise), path)


def strict(answer: httpx.Response) -> Any:
    """Return the JSON of an answer, in which numbers are numbers."""

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} in {answer.text[:200]}")

    return json.loads(answer.content, parse_constant=refuse) if answer.content else None


class Patient(httpx.AsyncClient):
    """A client that waits where it is told to: the operator's limit cannot be raised, and long runs go over it."""

    async def send(self, request: httpx.Request, **more: Any) -> httpx.Response:
        while (answer := await super().send(request, **more)).status_code == 429:
            await asyncio.sleep(float(answer.headers["Retry-After"]))
        return answer


@asynccontextmanager
async def operator(api: Api) -> AsyncIterator[httpx.AsyncClient]:
    """Yield the operator's client."""
    key, _ = await tenants.create_key(api.redis, 64, "_system", "op", ["operator"], PEPPER, 0)
    transport = httpx.ASGITransport(api.app, raise_app_exceptions=False)
    async with Patient(transport=transport, base_url="http://test", headers={"X-API-Key": str(key)}) as http:
        yield http


@asynccontextmanager
async def keys_stay_at_home(api: Api, *others: str) -> AsyncIterator[None]:
    """Fail if the block leaves keys in Redis that are neither the tenant's, nor the system's, nor of `others`.

    The learner writes checkpoints of what tests before have left to learn: these may come at any time.
    """
    before = await names(api.redis) | {keys.checkpoint_key(partition).encode() for partition in range(64)}
    yield
    own = {api.partition, *(keys.partition_of(one, 64) for one in ("_system", *others))}
    start = tuple(keys.prefix(partition).encode() for partition in own)
    made = await names(api.redis) - before
    strangers = {one for one in made if not one.startswith(start)}
    assert made
    assert not strangers, strangers


async def everything_is_readable(api: Api, places: dict[str, str]) -> None:
    """Read all that can be read: nothing that was kept has spoilt it."""
    for path, each in document()["paths"].items():
        own = path.removeprefix(API)
        if "get" not in each or own.startswith(("/-/", "/tenants", "/api-keys/")):
            continue
        answer = await api.get(filled(own, places), params={"customerId": "c1", "limit": "100"})
        assert answer.status_code == 200, f"{own}: {answer.text}"
        strict(answer)
    assert (await api.get("/audit-logs/verify")).json()["intact"]
    assert (await api.post("/recommend", {"customerId": "c1"})).status_code == 200
