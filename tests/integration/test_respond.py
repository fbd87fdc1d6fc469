"""POST /respond, rule by rule."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from redis.asyncio import Redis

from storage import keys, log, tenants
from storage.entry import Entry, Outcome
from tests.integration.conftest import PEPPER, Api, client_of

pytestmark = pytest.mark.anyio

RECORD_KEYS = {
    "interactionId",
    "recommendationId",
    "customerId",
    "outcome",
    "classification",
    "rank",
    "offerName",
    "creativeName",
    "channelName",
    "categoryName",
    "status",
    "timestamp",
}


async def entries_of(api: Api) -> list[Entry]:
    cut: Any = await api.redis.xrange(keys.log_key(api.partition), count=1)  # what is archived may have left
    first = int(cut[0][0].partition(b"-")[0]) if cut else 1
    entries = await log.read(api.redis, api.partition, first - 1, count=1_000_000)
    return [e for e in entries if isinstance(e.body, Outcome) and e.body.tenant == api.tenant]


async def outcome_of(api: Api) -> tuple[Outcome, Entry]:
    [entry] = await entries_of(api)
    assert isinstance(entry.body, Outcome)
    return entry.body, entry


async def test_a_new_outcome_is_acknowledged_with_exactly_the_contracts_keys(api: Api) -> None:
    answer = await api.respond("k", timestamp="2026-03-16T14:35:00+01:00", rank=3)
    assert answer.status_code == 201
    body = answer.json()
    assert set(body) == RECORD_KEYS
    assert body.pop("interactionId").startswith("int_")
    assert body == {
        "recommendationId": None,
        "customerId": "c1",
        "outcome": "click",
        "classification": "positive",
        "rank": 3,
        "offerName": "Gold",
        "creativeName": "Gold hero",
        "channelName": "Web",
        "categoryName": "Cards",
        "status": "recorded",
        "timestamp": "2026-03-16T13:35:00.000Z",
    }
    assert int(answer.headers["X-Log-Position"]) == (await entries_of(api))[0].position


async def test_a_duplicate_gets_the_first_record_and_no_side_effect(api: Api) -> None:
    first = await api.respond("k")
    await api.put("/offers/o1", {"name": "Platinum"})
    await api.delete("/creatives/cr1")
    again = await api.respond("k")
    assert again.status_code == 200
    assert again.json() == {**first.json(), "status": "already_recorded"}
    assert "Idempotency-Mismatch" not in again.headers
    assert "X-Log-Position" not in again.headers
    assert len(await entries_of(api)) == 1


async def test_the_same_meaning_is_no_mismatch_and_another_is(api: Api) -> None:
    base = {"customerId": "c1", "creativeId": "cr1", "outcome": "click", "conversionValue": 10}
    await api.post("/respond", {**base, "idempotencyKey": "k"})
    reordered = json.dumps({"outcome": "click", "rank": None, "conversionValue": 10.0, **base}, indent=3).encode()
    headers = {"Content-Type": "application/json; charset=utf-8", "Idempotency-Key": '"k"'}
    same = await api.http.post("/api/v1/respond", content=reordered, headers=headers)
    assert (same.status_code, same.headers.get("Idempotency-Mismatch")) == (200, None)
    other = await api.post("/respond", {**base, "idempotencyKey": "k", "conversionValue": 11})
    assert (other.status_code, other.headers.get("Idempotency-Mismatch")) == (200, "true")
    assert other.json()["status"] == "already_recorded"


async def test_a_tenant_may_have_mismatches_refused(api: Api) -> None:
    await api.put("/settings", {"idempotency": {"onMismatch": "reject"}})
    await api.respond("k")
    answer = await api.respond("k", customerId="c2")
    assert answer.status_code == 422
    assert answer.json()["error"]["code"] == "UNPROCESSABLE"
    assert (await api.respond("k")).status_code == 200


async def test_of_64_concurrent_requests_with_one_key_one_records(api: Api) -> None:
    answers = await asyncio.gather(*(api.respond("k") for _ in range(64)))
    assert sorted(a.status_code for a in answers) == [200] * 63 + [201]
    assert len({a.json()["interactionId"] for a in answers}) == 1
    assert len(await entries_of(api)) == 1


async def test_what_the_body_says_of_offer_and_channel_never_wins(api: Api) -> None:
    answer = await api.respond("k", offerId="o2", channelId="ch2", placementId="nowhere")
    assert answer.status_code == 201
    _, entry = await outcome_of(api)
    assert entry.resolution is not None
    assert (entry.resolution.offer_id, entry.resolution.channel_id, entry.resolution.placement_id) == (
        "o1",
        "ch1",
        "pl1",
    )


async def test_everything_optional_is_stored(api: Api) -> None:
    answer = await api.respond(
        "k",
        context={"utm": "x", "nested": {"big": 10**30}},
        outcomeDetails={"sku": "S"},
        attributes={"device": "mobile", "age": 38, "vip": True, "ratio": 0.5, "none": None},
        channel="site",
        deviceType="phone",
        responseTime=12.5,
        conversionValue=149.99,
        interactionId="legacy",
    )
    assert answer.status_code == 201, answer.text
    body, _ = await outcome_of(api)
    assert json.loads(body.context or "") == {
        "utm": "x",
        "nested": {"big": 10**30},
        "channel": "site",
        "deviceType": "phone",
        "responseTime": 12.5,
    }
    assert json.loads(body.details or "") == {"sku": "S"}
    assert body.features == {"device": "mobile", "age": 38, "vip": True, "ratio": 0.5}
    assert body.value == 149.99
    assert body.legacy_interaction_id == "legacy"


@pytest.mark.parametrize(
    ("outcome", "direction", "delivery"),
    [("impression", "outbound", True), ("expired", "outbound", False), ("click", "inbound", False)],
)
async def test_direction_and_delivery_follow_the_outcomes_category(
    api: Api, outcome: str, direction: str, delivery: bool
) -> None:
    await api.respond("k", outcome=outcome)
    body, _ = await outcome_of(api)
    assert (body.direction, body.delivery) == (direction, delivery)


async def test_aliases_and_the_header_stand_for_the_fields(api: Api) -> None:
    answer = await api.post(
        "/respond",
        {"customerId": "c1", "interactionType": "click", "treatmentId": "cr1"},
        headers={"Idempotency-Key": '"a \\"quoted\\" key"'},
    )
    assert answer.status_code == 201
    assert (await api.respond('a "quoted" key')).status_code == 200


INVALID: list[tuple[dict[str, Any], str, str]] = [
    ({"customerId": ...}, "customerId", "customerId is required"),
    ({"customerId": None}, "customerId", "customerId is required"),
    ({"customerId": 7}, "customerId", "customerId must be a string"),
    ({"customerId": ""}, "customerId", "customerId must not be empty"),
    ({"customerId": "c" * 256}, "customerId", "customerId must have at most 255 characters"),
    ({"outcome": ...}, "outcome", "outcome is required"),
    ({"outcome": "Click"}, "outcome", "outcome 'Click' is not an active outcome type"),
    ({"interactionType": "view"}, "interactionType", "interactionType must equal outcome where both are given"),
    ({"treatmentId": "cr2"}, "treatmentId", "treatmentId must equal creativeId where both are given"),
    (
        {"idempotencyKey": ...},
        "idempotencyKey",
        "idempotencyKey is required, in the body or as header Idempotency-Key",
    ),
    ({"idempotencyKey": "k" * 256}, "idempotencyKey", "idempotencyKey must have at most 255 characters"),
    ({"creativeId": ...}, "creativeId", "creativeId is required unless recommendationId and rank are given"),
    ({"recommendationId": "r"}, "rank", "rank is required with recommendationId"),
    ({"rank": 0}, "rank", "rank must be at least 1"),
    ({"rank": "1"}, "rank", "rank must be an integer"),
    ({"rank": 1.5}, "rank", "rank must be an integer"),
    ({"rank": True}, "rank", "rank must be an integer"),
    ({"direction": "sideways"}, "direction", "direction must be one of 'inbound' or 'outbound'"),
    ({"context": []}, "context", "context must be an object"),
    ({"context": {str(i): i for i in range(101)}}, "context", "context must have at most 100 keys"),
    ({"timestamp": "yesterday"}, "timestamp", "timestamp must be a time in ISO 8601"),
    ({"timestamp": 1}, "timestamp", "timestamp must be a string"),
    ({"conversionValue": -1}, "conversionValue", "conversionValue must be at least 0"),
    ({"conversionValue": "1"}, "conversionValue", "conversionValue must be a number"),
    (
        {"attributes": {"a": []}},
        "attributes",
        "attributes must hold strings, numbers and booleans only, a is neither",
    ),
    ({"responseTime": -1}, "responseTime", "responseTime must be at least 0"),
]


@pytest.mark.parametrize(("changed", "field", "message"), INVALID)
async def test_bad_input_is_told_by_field_and_rule(
    api: Api, changed: dict[str, Any], field: str, message: str
) -> None:
    answer = await api.respond("k", **changed)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error["code"] == "BAD_REQUEST"
    assert error["message"] == message
    assert error["details"][0] == {"field": field, "message": message}
    assert error["requestId"] == answer.headers["X-Request-Id"]
    assert await entries_of(api) == []


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"[]",
        b'"x"',
        b'{"conversionValue": NaN}',
        b'{"conversionValue": Infinity}',
        b'{"context": {"a": 1e999}}',
        b'{"attributes": {"a": ' + b"9" * 400 + b"}}",
        b'{"customerId": "\\ud800"}',
        b'{"context": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b"\xff\xfe",
    ],
)
async def test_what_is_not_sound_json_is_400(api: Api, raw: bytes) -> None:
    base = b'{"customerId":"c1","creativeId":"cr1","outcome":"click","idempotencyKey":"k",'
    content = base + raw[1:] if raw.startswith(b'{"') else raw
    answer = await api.http.post("/api/v1/respond", content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["code"] == "BAD_REQUEST"
    assert await entries_of(api) == []


async def test_a_time_far_ahead_is_refused_and_one_day_is_not(api: Api) -> None:
    now = datetime.now(UTC)
    late = await api.respond("a", timestamp=(now + timedelta(hours=24, minutes=1)).isoformat())
    assert late.json()["error"]["message"] == "timestamp must not be more than 24 hours ahead"
    assert (await api.respond("b", timestamp=(now + timedelta(hours=23)).isoformat())).status_code == 201


async def test_a_time_without_a_zone_is_utc(api: Api) -> None:
    answer = await api.respond("k", timestamp="2026-01-02T03:04:05")
    assert answer.json()["timestamp"] == "2026-01-02T03:04:05.000Z"


async def test_unknown_and_deleted_creatives_are_404_and_paused_ones_count(api: Api) -> None:
    assert (await api.respond("a", creativeId="nope")).status_code == 404
    await api.put("/creatives/cr1", {"status": "archived"})
    assert (await api.respond("b")).status_code == 201
    await api.delete("/creatives/cr1")
    gone = await api.respond("c")
    assert gone.status_code == 404
    assert gone.json()["error"]["code"] == "NOT_FOUND"


async def test_an_outcome_type_counts_only_while_active(api: Api) -> None:
    await api.put("/outcome-types/outcome_click", {"status": "paused"})
    assert (await api.respond("k")).status_code == 400
    await api.put("/outcome-types/outcome_click", {"status": "active"})
    assert (await api.respond("k")).status_code == 201, "a refused outcome uses up no key"


async def test_both_paths_must_agree(api: Api) -> None:
    shown = {"customerId": "c1", "decisions": [{"rank": 1, "creativeId": "cr1", "propensity": 0.4}]}
    assert (await api.put("/recommendations/r1", shown)).status_code == 201
    assert (await api.put("/recommendations/r1", shown)).status_code == 200
    assert (await api.put("/recommendations/r1", {**shown, "customerId": "c2"})).status_code == 409
    by_rank = await api.respond("a", creativeId=..., recommendationId="r1", rank=1)
    assert by_rank.status_code == 201
    assert by_rank.json()["offerName"] == "Gold"
    assert by_rank.json()["recommendationId"] == "r1"
    assert (await api.respond("b", recommendationId="r1", rank=1)).status_code == 201
    disagree = await api.respond("c", creativeId="cr2", recommendationId="r1", rank=1)
    assert disagree.status_code == 400
    assert disagree.json()["error"]["details"][0]["field"] == "creativeId"
    for key, changed in {
        "d": {"recommendationId": "r2", "rank": 1},
        "e": {"recommendationId": "r1", "rank": 2},
        "f": {"recommendationId": "r1", "rank": 1, "customerId": "c9"},
    }.items():
        assert (await api.respond(key, creativeId=..., **changed)).status_code == 404


async def test_an_outcome_older_than_its_decision_is_flagged(api: Api) -> None:
    shown = {"customerId": "c1", "attributes": {"age": 38}, "decisions": [{"rank": 1, "creativeId": "cr1"}]}
    await api.put("/recommendations/r1", shown)
    await api.respond("a", creativeId=..., recommendationId="r1", rank=1, timestamp="2020-01-01")
    _, entry = await outcome_of(api)
    assert entry.before_decision
    assert entry.learning_features == {"age": 38}


async def test_the_limit_is_told_and_kept(api: Api) -> None:
    await api.put("/settings", {"rateLimits": {"respond": 2}})
    first = await api.respond("a")
    assert first.headers["RateLimit-Policy"] == '"respond";q=2;w=60'
    assert first.headers["RateLimit"] == '"respond";r=1;t=60'
    assert (await api.respond("b", customerId=...)).status_code == 400, "an invalid request counts too"
    limited = await api.respond("c")
    assert limited.status_code == 429
    assert limited.json()["error"]["code"] == "RATE_LIMITED"
    assert 1 <= int(limited.headers["Retry-After"]) <= 61
    assert (await api.respond("d", customerId=...)).status_code == 429, "429 comes before 400"
    assert len(await entries_of(api)) == 1


async def test_two_tenants_share_neither_keys_nor_creatives(api: Api, redis: Redis, partitions: int) -> None:
    other = f"{api.tenant}-other"
    await tenants.create(redis, partitions, other, "O", 0)
    key, _ = await tenants.create_key(redis, partitions, other, "k", ["admin"], PEPPER, 0)
    body = {"customerId": "c1", "creativeId": "cr1", "outcome": "click", "idempotencyKey": "k"}
    async with client_of(api.app, {"X-Tenant-Id": other, "X-API-Key": str(key)}) as http:
        assert (await http.post("/api/v1/respond", json=body)).status_code == 404
        assert (await http.get("/api/v1/offers/o1")).status_code == 404
    async with client_of(api.app, {"X-Tenant-Id": api.tenant, "X-API-Key": str(key)}) as http:
        assert (await http.post("/api/v1/respond", json=body)).status_code == 401
    assert (await api.respond("k")).status_code == 201
