"""The audit log over HTTP: every write is told, secrets are not, and nothing can be bent unseen."""

import asyncio
import json
from hashlib import sha256
from typing import Any

import pytest

from storage import keys, tenants
from tests.integration.conftest import PEPPER, Api

pytestmark = pytest.mark.anyio

FIELDS = [
    *("id", "action", "entityType", "entityId", "before", "after"),
    *("actor", "requestId", "timestamp", "prevHash", "hash"),
]


async def rows_of(api: Api, limit: int = 100) -> list[dict[str, Any]]:
    """Return the newest rows, oldest first."""
    answer = await api.get(f"/audit-logs?limit={limit}")
    assert answer.status_code == 200
    return list(reversed(answer.json()["data"]))


async def intact(api: Api) -> dict[str, Any]:
    answer: dict[str, Any] = (await api.get("/audit-logs/verify")).json()
    return answer


async def test_each_write_is_a_row_with_what_was_before_and_after(api: Api) -> None:
    known = len(await rows_of(api))
    headers = {"X-Request-Id": "made-by-test"}
    made = (await api.post("/offers", {"id": "o9", "name": "Nine"}, headers=headers)).json()
    changed = (await api.put("/offers/o9", {"priority": 7})).json()
    await api.delete("/offers/o9")
    create, update, delete = (await rows_of(api))[known:]
    assert list(create) == FIELDS
    assert [row["action"] for row in (create, update, delete)] == ["create", "update", "delete"]
    assert {(row["entityType"], row["entityId"]) for row in (create, update, delete)} == {("offer", "o9")}
    assert (create["before"], create["after"]) == (None, made)
    assert (update["before"], update["after"]) == (made, changed)
    assert (delete["before"], delete["after"]) == (changed, None)
    assert create["requestId"] == "made-by-test"
    key_id = (await api.get("/api-keys")).json()["data"][0]["id"]
    assert {row["actor"] for row in (create, update, delete)} == {key_id}
    assert update["prevHash"] == create["hash"]


async def test_promotions_and_settings_are_told_and_secrets_are_not(api: Api) -> None:
    model = (await api.post("/algorithm-models", {"key": "m2", "modelType": "ucb"})).json()
    await api.post(f"/algorithm-models/{model['id']}/promote", {"to": "shadow"})
    await api.put("/settings", {"holdoutPercent": 5})
    key = (await api.post("/api-keys", {"name": "another", "scopes": ["read"]})).json()
    rows = await rows_of(api)
    assert [(row["action"], row["entityType"]) for row in rows[-4:]] == [
        ("create", "model"),
        ("promote", "model"),
        ("update", "settings"),
        ("create", "apiKey"),
    ]
    assert (rows[-3]["before"]["status"], rows[-3]["after"]["status"]) == ("draft", "shadow")
    assert rows[-2]["before"]["holdoutPercent"] == 0
    assert rows[-1]["entityId"] == key["id"]
    secret = key["key"].rsplit("_", 1)[1]
    text = json.dumps(rows)
    assert "sealed" not in text
    assert secret not in text
    assert rows[0]["actor"] == "command", "the tenant itself was made on the command line"


async def test_a_refused_write_leaves_no_row(api: Api) -> None:
    before = await intact(api)
    assert (await api.post("/offers", {"name": "Gold"})).status_code == 409
    assert (await api.post("/creatives", {"name": "x", "offerId": "none", "channelId": "ch1"})).status_code == 400
    assert await intact(api) == before


async def test_pages_go_from_the_newest_to_the_first(api: Api) -> None:
    seen: list[str] = []
    cursor = ""
    while True:
        page = (await api.get(f"/audit-logs?limit=7{cursor}")).json()
        seen += [row["id"] for row in page["data"]]
        if not page["pagination"]["hasMore"]:
            break
        cursor = f"&cursor={page['pagination']['nextCursor']}"
    assert seen == [f"audit_{n}" for n in range(page["pagination"]["total"], 0, -1)]
    assert page["pagination"]["nextCursor"] is None
    for wrong in ("eyJ9", "WyJhIiwgImIiXQ", "WyJhIiwgImF1ZGl0X3gxIl0"):
        assert (await api.get(f"/audit-logs?cursor={wrong}")).status_code == 400


async def test_the_chain_can_be_checked_by_anyone(api: Api) -> None:
    previous = "0" * 64
    for row in await rows_of(api):
        assert row["prevHash"] == previous
        rest = {name: value for name, value in row.items() if name != "hash"}
        canonical = json.dumps(rest, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        previous = sha256(canonical.encode()).hexdigest()
        assert row["hash"] == previous
    total = (await api.get("/audit-logs")).json()["pagination"]["total"]
    assert await intact(api) == {"intact": True, "verified": total}


async def test_rows_of_concurrent_writers_are_one_chain(api: Api) -> None:
    before = (await intact(api))["verified"]
    answers = await asyncio.gather(*(api.post("/categories", {"name": f"c{n}"}) for n in range(40)))
    assert {answer.status_code for answer in answers} == {201}
    assert await intact(api) == {"intact": True, "verified": before + 40}


@pytest.mark.parametrize("what", ["changed", "removed", "cut off", "moved", "garbled", "forged"])
async def test_a_bent_log_is_found_out(api: Api, what: str) -> None:
    for n in range(3):
        await api.post("/categories", {"name": f"c{n}"})
    key = keys.audit_keys(api.partition, api.tenant)[0]
    stored: Any = await api.redis.xrange(key)
    rows = [(int(name.split(b"-")[0]), fields[b"r"]) for name, fields in stored]
    last = len(rows)
    broken = last - 1
    match what:
        case "changed":
            rows[broken - 1] = (broken, rows[broken - 1][1].replace(b'"create"', b'"update"'))
        case "removed":
            del rows[broken - 1]
        case "cut off":
            broken = last
            del rows[-1]
        case "moved":
            rows[-2], rows[-1] = (broken, rows[-1][1]), (last, rows[-2][1])
        case "garbled":
            rows[broken - 1] = (broken, b"no json")
        case "forged":  # the last row, with a hash that fits it
            broken = last
            row = json.loads(rows[-1][1]) | {"actor": "somebody"}
            row.pop("hash")
            text = json.dumps(row, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
            rows[-1] = (last, json.dumps(row | {"hash": sha256(text.encode()).hexdigest()}).encode())
    await api.redis.delete(key)
    for number, raw in rows:
        await api.redis.xadd(key, {"r": raw}, id=f"{number}-0")
    assert await intact(api) == {"intact": False, "verified": broken - 1, "brokenAtId": f"audit_{broken}"}


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
async def test_nobody_writes_it(api: Api, method: str) -> None:
    for path in ("/audit-logs", "/audit-logs/verify"):
        answer = await api.http.request(method, f"/api/v1{path}")
        assert answer.status_code == 405
        assert answer.json()["error"]["code"] == "METHOD_NOT_ALLOWED"


async def test_it_is_the_tenants_own(api: Api) -> None:
    other = f"{api.tenant}x"
    await tenants.create(api.redis, 64, other, "Other", 0)
    key, _ = await tenants.create_key(api.redis, 64, other, "k", ["read"], PEPPER, 0)
    headers = {"X-Tenant-Id": other, "Authorization": f"Bearer {key}"}
    rows = (await api.get("/audit-logs?limit=100", headers=headers)).json()["data"]
    assert {(row["entityType"], row["entityId"]) for row in rows} >= {("tenant", other), ("apiKey", key.id)}
    assert api.tenant not in {row["entityId"] for row in rows}
    assert "cr1" not in {row["entityId"] for row in rows}
