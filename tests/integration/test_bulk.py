"""POST /respond/bulk."""

import json

import pytest

from storage import log
from storage.entry import Outcome
from tests.integration.conftest import Api

pytestmark = pytest.mark.anyio


def item(key: str, **changed: object) -> dict[str, object]:
    return {"customerId": "c1", "creativeId": "cr1", "outcome": "click", "idempotencyKey": key, **changed}


async def count(api: Api) -> int:
    entries = await log.read(api.redis, api.partition, 0, count=1_000_000)
    return sum(isinstance(e.body, Outcome) and e.body.tenant == api.tenant for e in entries)


async def test_each_outcome_is_answered_for_itself(api: Api) -> None:
    items = [item("a"), item("a"), item("b", creativeId="nope"), item("c", rank=0), "no object", item("d")]
    answer = await api.post("/respond/bulk", {"outcomes": items})
    assert answer.status_code == 207
    body = answer.json()
    assert {name: body[name] for name in ("processed", "recorded", "duplicates", "failed")} == {
        "processed": 6,
        "recorded": 2,
        "duplicates": 1,
        "failed": 3,
    }
    assert [row["index"] for row in body["results"]] == list(range(6))
    assert [row["status"] for row in body["results"]] == [201, 200, 404, 400, 400, 201]
    assert body["results"][0]["interactionId"] == body["results"][1]["interactionId"]
    assert body["results"][3]["error"] == {"code": "BAD_REQUEST", "message": "rank must be at least 1"}
    assert await count(api) == 2


async def test_a_thousand_as_ndjson_and_again(api: Api) -> None:
    lines = b"\n".join(json.dumps(item(f"k{i}", customerId=f"c{i}")).encode() for i in range(1000))
    headers = {"Content-Type": "application/x-ndjson"}
    first = await api.http.post("/api/v1/respond/bulk", content=lines, headers=headers)
    again = await api.http.post("/api/v1/respond/bulk", content=lines + b"\n\n", headers=headers)
    assert first.json()["recorded"] == 1000
    assert again.json()["duplicates"] == 1000
    assert await count(api) == 1000


async def test_a_bad_line_of_ndjson_stops_no_other(api: Api) -> None:
    content = b"{broken\n" + json.dumps(item("k")).encode()
    headers = {"Content-Type": "application/x-ndjson"}
    answer = await api.http.post("/api/v1/respond/bulk", content=content, headers=headers)
    assert [row["status"] for row in answer.json()["results"]] == [400, 201]


@pytest.mark.parametrize("envelope", [{}, {"outcomes": {}}, {"outcomes": []}, [], {"outcomes": [{}] * 1001}])
async def test_a_bad_envelope_is_400(api: Api, envelope: object) -> None:
    assert (await api.post("/respond/bulk", envelope)).status_code == 400


async def test_one_request_is_one_count_of_its_own_limit(api: Api) -> None:
    await api.put("/settings", {"rateLimits": {"bulk": 1}})
    first = await api.post("/respond/bulk", {"outcomes": [item(f"k{i}") for i in range(3)]})
    assert first.status_code == 207
    assert first.headers["RateLimit"] == '"bulk";r=0;t=60'
    assert (await api.post("/respond/bulk", {"outcomes": [item("z")]})).status_code == 429
    assert (await api.respond("z")).status_code == 201


async def test_a_bulk_over_8_mib_is_413(api: Api) -> None:
    content = b'{"outcomes": ["' + b"x" * (8 * 2**20) + b'"]}'
    answer = await api.http.post(
        "/api/v1/respond/bulk", content=content, headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 413


async def test_mismatches_are_refused_one_by_one_where_the_tenant_wants_it(api: Api) -> None:
    await api.put("/settings", {"idempotency": {"onMismatch": "reject"}})
    answer = await api.post("/respond/bulk", {"outcomes": [item("a"), item("a", rank=2), item("b")]})
    assert [row["status"] for row in answer.json()["results"]] == [201, 422, 201]
