"""The catalogue and the outcome types."""

import asyncio
from urllib.parse import quote

import pytest

from tests.catalog import CATALOG
from tests.integration.conftest import Api

pytestmark = pytest.mark.anyio


async def test_an_item_lives_through_create_read_update_delete(api: Api) -> None:
    made = await api.post("/offers", {"name": "New", "categoryId": "cat1"})
    assert made.status_code == 201
    offer = made.json()
    assert offer["id"].startswith("offer_")
    assert (offer["priority"], offer["businessValue"], offer["status"], offer["version"]) == (50, 1, "active", 1)
    assert offer["schedule"] == {"startAt": None, "endAt": None}
    changed = await api.put(f"/offers/{offer['id']}", {"priority": 60, "tags": ["a"]})
    assert changed.json()["version"] == 2
    assert changed.json()["name"] == "New"
    cleared = await api.put(f"/offers/{offer['id']}", {"categoryId": None})
    assert cleared.json()["categoryId"] is None
    assert (await api.get(f"/offers/{offer['id']}")).json() == cleared.json()
    assert (await api.delete(f"/offers/{offer['id']}")).status_code == 204
    assert (await api.get(f"/offers/{offer['id']}")).status_code == 404
    deleted = (await api.get("/offers?includeDeleted=true&limit=100")).json()["data"]
    assert [o["deletedAt"] is not None for o in deleted if o["id"] == offer["id"]] == [True]


async def test_ids_may_hold_anything(api: Api) -> None:
    weird = "a/b:{p00}:seq \u2603%"
    assert (await api.post("/channels", {"id": weird, "name": "W", "channelType": "sms"})).status_code == 201
    assert (await api.get(f"/channels/{quote(weird, safe='')}")).json()["id"] == weird


async def test_names_are_unique_until_deleted_and_ids_for_good(api: Api) -> None:
    assert (await api.post("/offers", {"name": "Gold"})).status_code == 409
    assert (await api.put("/offers/o2", {"name": "Gold"})).status_code == 409
    assert (await api.delete("/offers/o1")).status_code == 204
    assert (await api.post("/offers", {"id": "o1", "name": "Else"})).status_code == 409
    assert (await api.post("/offers", {"name": "Gold"})).status_code == 201
    assert (await api.post("/categories", {"name": "Gold"})).status_code == 201, "another kind, another name"


async def test_a_renamed_item_gives_its_name_free(api: Api) -> None:
    await api.put("/offers/o1", {"name": "Renamed"})
    assert (await api.put("/offers/o2", {"name": "Gold"})).status_code == 200
    assert (await api.put("/offers/o1", {"name": "Silver"})).status_code == 200


async def test_references_are_checked_and_named(api: Api) -> None:
    answer = await api.post("/creatives", {"name": "N", "offerId": "o1", "channelId": "nope"})
    assert answer.status_code == 400
    assert answer.json()["error"]["message"] == "channelId 'nope' names no channel"
    await api.delete("/offers/o1")
    gone = await api.post("/creatives", {"name": "N", "offerId": "o1", "channelId": "ch1"})
    assert gone.json()["error"]["details"][0]["field"] == "offerId"


@pytest.mark.parametrize(
    ("path", "body", "message"),
    [
        ("/offers", {}, "name is required"),
        ("/offers", {"name": "N", "priority": 101}, "priority must be at most 100"),
        ("/offers", {"name": "N", "businessValue": -1}, "businessValue must be at least 0"),
        (
            "/offers",
            {"name": "N", "status": "gone"},
            "status must be one of 'draft', 'active', 'paused' or 'archived'",
        ),
        ("/channels", {"name": "N"}, "channelType is required"),
        ("/outcome-types", {"name": "N", "key": "a b"}, "key must match ^[A-Za-z0-9_.:-]+$"),
        (
            "/creatives",
            {"name": "N", "offerId": "o1", "channelId": "ch1", "weight": 101},
            "weight must be at most 100",
        ),
    ],
)
async def test_fields_are_validated(api: Api, path: str, body: dict[str, object], message: str) -> None:
    answer = await api.post(path, body)
    assert answer.status_code == 400
    assert answer.json()["error"]["message"] == message


async def test_a_schedule_must_end_after_it_starts(api: Api) -> None:
    schedule = {"startAt": "2026-02-01T00:00:00Z", "endAt": "2026-01-01T00:00:00Z"}
    answer = await api.post("/offers", {"name": "N", "schedule": schedule})
    assert answer.json()["error"]["message"] == "schedule must end after it starts"


async def test_lists_come_in_pages(api: Api) -> None:
    for i in range(7):
        await api.post("/categories", {"name": f"n{i}"})
    names, cursor = [], ""
    while True:
        page = (await api.get(f"/categories?limit=3{cursor}")).json()
        assert page["pagination"]["total"] == 8
        names += [item["name"] for item in page["data"]]
        if not page["pagination"]["hasMore"]:
            break
        cursor = f"&cursor={page['pagination']['nextCursor']}"
    assert sorted(names) == sorted(["Cards", *(f"n{i}" for i in range(7))])


async def test_put_catalog_is_all_or_nothing_and_repeatable(api: Api) -> None:
    again = await api.put("/catalog", CATALOG)
    assert again.json()["unchanged"] == 8
    assert again.json()["offers"] == 2
    assert (await api.get("/offers/o1")).json()["version"] == 1
    bad = {"offers": [{"id": "o9", "name": "Nine"}], "creatives": [{"id": "x", "name": "X", "offerId": "o9"}]}
    answer = await api.put("/catalog", bad)
    assert answer.status_code == 400
    assert answer.json()["error"]["message"] == "creatives.0.channelId is required"
    assert (await api.get("/offers/o9")).status_code == 404
    wrong = {"offers": [{"id": "o9", "name": "Nine"}, {"id": "o8", "name": "Nine"}]}
    assert (await api.put("/catalog", wrong)).status_code == 409
    assert (await api.get("/offers/o9")).status_code == 404


async def test_put_catalog_revives_and_swaps_names(api: Api) -> None:
    await api.delete("/offers/o1")
    answer = await api.put("/catalog", {"offers": [{"id": "o1", "name": "Silver"}, {"id": "o2", "name": "Gold"}]})
    assert answer.status_code == 200, answer.text
    assert (await api.get("/offers/o1")).json()["name"] == "Silver"
    assert (await api.get("/offers/o2")).json()["version"] == 2


async def test_put_catalog_finds_outcome_types_by_key(api: Api) -> None:
    body = {"outcomeTypes": [{"key": "no_click", "name": "No click", "classification": "negative"}]}
    assert (await api.put("/catalog", body)).json()["created"] == 1
    assert (await api.put("/catalog", body)).json()["unchanged"] == 1
    assert (await api.respond("k", outcome="no_click")).json()["classification"] == "negative"


async def test_concurrent_updates_lose_nothing(api: Api) -> None:
    changes = [{"priority": 1}, {"businessValue": 2.5}, {"tags": ["x"]}, {"metadata": {"a": 1}}]
    answers = await asyncio.gather(*(api.put("/offers/o1", change) for change in changes))
    assert {a.status_code for a in answers} == {200}
    offer = (await api.get("/offers/o1")).json()
    assert (offer["priority"], offer["businessValue"], offer["tags"], offer["metadata"]) == (
        1,
        2.5,
        ["x"],
        {"a": 1},
    )
    assert offer["version"] == 5


async def test_outcome_types_are_a_plain_array_by_ordinal(api: Api) -> None:
    listed = (await api.get("/outcome-types")).json()
    assert [one["key"] for one in listed][:4] == ["impression", "delivery", "not_presented", "expired"]
    assert set(listed[0]) == {
        "id",
        "tenantId",
        "key",
        "name",
        "description",
        "classification",
        "category",
        "isSystem",
        "ordinal",
        "status",
        "version",
        "deletedAt",
        "createdAt",
        "updatedAt",
    }
    classes = {one["key"]: one["classification"] for one in listed}
    assert classes["renewed"] == "positive"
    assert classes["unsubscribed"] == "negative"
    assert classes["requested_info"] == "neutral"
    assert len(listed) == 16


async def test_system_outcome_types_stay_what_they_are(api: Api) -> None:
    assert (await api.delete("/outcome-types/outcome_click")).status_code == 400
    assert (await api.put("/outcome-types/outcome_click", {"classification": "negative"})).status_code == 400
    assert (await api.put("/outcome-types/outcome_click", {"name": "Tap"})).json()["name"] == "Tap"
    assert (await api.post("/outcome-types", {"key": "click", "name": "C"})).status_code == 409
    made = (await api.post("/outcome-types", {"key": "tap", "name": "T", "classification": "positive"})).json()
    assert (made["isSystem"], made["ordinal"], made["category"]) == (False, 99, "response")
    assert (await api.respond("k", outcome="tap")).json()["classification"] == "positive"
    assert (await api.delete(f"/outcome-types/{made['id']}")).status_code == 204
    assert (await api.respond("k2", outcome="tap")).status_code == 400
