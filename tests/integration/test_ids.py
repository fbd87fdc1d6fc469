"""Ids that mean something to Redis, Lua, paths or logs: each is kept as it came, and touches nothing else."""

import itertools
from typing import Final
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzzing import cases
from tests.integration.attacks import everything_is_readable, keys_stay_at_home, prepare
from tests.integration.conftest import Api

pytestmark = pytest.mark.anyio

NASTY: Final = (
    *("{p00}:log", "{p07}:seq", "}{", "{", "}", ":", "::", "a:b", "*", "?", "[a-z]", "\\", "'", '"', "$", "all"),
    *(
        "..",
        "../..",
        ".",
        "%2f",
        "%00",
        "%",
        "/",
        "//",
        "a/values",
        "a/state",
        "o1\n",
        "\no1",
        "a\nb",
        "\r\n",
    ),
    *("\t", " ", " o1", "o1 ", "\x00", "a\x00b", "\x7f", "\u2028", "\ufeff", "\U0001f600", "\xe9", "e\u0301"),
    *("-1", "0", "null", "+", "-", "_system", "rewardloop:installation", "__proto__", "{0.__class__}", "%s%n"),
    *("redis.call('FLUSHALL')", "');redis.call('FLUSHALL')--", "\r\nFLUSHALL\r\n", "*1\r\n$8\r\nFLUSHALL\r\n"),
    *("<script>alert(1)</script>", "${jndi:ldap://x}", "x" * 255, "\xe9" * 255, "\U0001f600" * 255),
)
IDS: Final = st.one_of(
    st.sampled_from(NASTY),
    st.text(alphabet="{}:*?[]\\/.%\n\r\x00'\"p0123456789a\xe9\U0001f600", min_size=1, max_size=20),
    st.text(min_size=1, max_size=255),
)
_numbers: Final = itertools.count(10**9)
TOO_LONG: Final = "x" * 10_240


@pytest.fixture
async def watched(api: Api) -> None:
    """A customer and an offer that no attack is about."""
    await prepare(api)
    assert (await api.respond("watched", customerId="watched")).status_code == 201


def escaped(item_id: str) -> str:
    """Return an id as it stands in a path; dots, too, for clients would take them for steps."""
    return quote(item_id, safe="").replace(".", "%2E")


async def catalogued(api: Api, item_id: str, number: int) -> None:
    """Make items of that id, read and change them."""
    for path, more in (
        ("/categories", {}),
        ("/channels", {"channelType": "web"}),
        ("/offers", {"categoryId": item_id}),
        ("/creatives", {"offerId": item_id, "channelId": item_id}),
        ("/behavioral-metrics", {"aggregateFunction": "count", "filterConditions": {"customerId": item_id}}),
    ):
        body = {"id": item_id, "name": f"{number}{item_id}"[:255], **more}
        made = await api.post(path, body)
        assert made.status_code in {201, 409, 400}, made.text  # taken, by an example before; the 21st metric
        if made.status_code == 400:
            assert "20 metrics" in made.text
            continue
        place = f"{path}/{escaped(item_id)}"
        changed = await api.put(place, {"name": f"{number}+{item_id}"[:255]})
        assert changed.status_code == 200, f"{place}: {changed.text}"
        read = await api.get(place)
        assert read.status_code == 200, f"{place}: {read.text}"
        assert read.json()["id"] == item_id
        assert more.items() <= {**read.json(), "filterConditions": more.get("filterConditions")}.items()


async def counted(api: Api, text: str, number: int) -> None:
    """Recommend, answer, read: the id as customer, recommendation, creative, key, feature and segment."""
    decisions = [{"rank": 1, "creativeId": text}]
    registered = await api.put(f"/recommendations/{escaped(text)}", {"customerId": text, "decisions": decisions})
    assert registered.status_code in {200, 201}, registered.text
    assert registered.json()["recommendationId"] == text
    key = f"{text}{number}"[-255:]
    sent = {"customerId": text, "recommendationId": text, "rank": 1, "creativeId": text, "attributes": {text: text}}
    first = await api.respond(key, **sent, context={text: text}, interactionId=text)
    assert first.status_code == 201, first.text
    assert (first.json()["customerId"], first.json()["recommendationId"]) == (text, text)
    again = await api.respond(key, **sent, context={text: text}, interactionId=text)
    assert (again.status_code, again.json()["interactionId"]) == (200, first.json()["interactionId"])
    asked = {"customerId": text, "segments": [text], "attributes": {text: text}, "excludeOffers": [text]}
    shown = await api.post("/recommend", asked)
    assert shown.status_code == 200, shown.text
    assert shown.json()["customerId"] == text
    for path in ("/interaction-history", "/interaction-summaries"):
        rows = (await api.get(path, params={"customerId": text, "offerId": text})).json()["data"]
        assert rows, path
        assert {(row["customerId"], row["offerId"], row["creativeId"]) for row in rows} == {(text, text, text)}
    [row] = (await api.get("/interaction-history", params={"customerId": text, "limit": "1"})).json()["data"]
    assert row["context"] == {text: text}
    assert (await api.get(f"/customers/{escaped(text)}/suppressions")).status_code == 200


async def forgotten(api: Api, text: str) -> None:
    """Erase the customer of that id, who is then gone, and nobody else."""
    erased = await api.post("/gdpr/erasure", {"customerId": text})
    assert erased.status_code == 200, erased.text
    assert erased.json()["deleted"]["summaries"] >= 1
    assert (await api.get("/interaction-history", params={"customerId": text})).json()["data"] == []
    rows = (await api.get("/interaction-history", params={"customerId": "watched"})).json()["data"]
    assert [row["customerId"] for row in rows] == ["watched"]


@settings(max_examples=cases(10), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=IDS)
async def test_any_text_is_an_id(api: Api, watched: None, text: str) -> None:
    del watched
    number = next(_numbers)  # a text may be tried again
    await catalogued(api, text, number)
    await counted(api, text, number)
    await forgotten(api, text)


@pytest.mark.parametrize("slash", ["%2F", "%2f"])
async def test_an_escaped_slash_belongs_to_the_id(api: Api, slash: str) -> None:
    for item_id in ("a", "a/values"):
        metric = {"id": item_id, "name": item_id, "aggregateFunction": "count"}
        assert (await api.post("/behavioral-metrics", metric)).status_code == 201
    read = await api.get(f"/behavioral-metrics/a{slash}values")
    assert read.json()["id"] == "a/values"
    assert "data" in (await api.get("/behavioral-metrics/a/values")).json()
    assert "data" in (await api.get(f"/behavioral-metrics/a{slash}values/values")).json()
    assert (await api.get(f"/behavioral-metrics/{slash}%FF%00a{slash}")).status_code == 404


async def test_ids_leave_no_key_elsewhere(api: Api) -> None:
    async with keys_stay_at_home(api):
        places = await prepare(api)
        assert (await api.respond("watched", customerId="watched")).status_code == 201
        for number, text in zip(_numbers, NASTY, strict=False):
            await catalogued(api, text, number)
            await counted(api, text, number)
        await everything_is_readable(api, places)
        for text in NASTY:
            await forgotten(api, text)
    offer = (await api.get("/offers/o1")).json()
    assert (offer["name"], offer["version"]) == ("Gold", 1)


async def test_ids_that_are_too_long_are_refused(api: Api) -> None:
    for answer, field in (
        (await api.post("/offers", {"id": TOO_LONG, "name": "n"}), "id"),
        (await api.put("/catalog", {"offers": [{"id": TOO_LONG, "name": "n"}]}), "offers.0.id"),
        (await api.respond(TOO_LONG), "idempotencyKey"),
        (await api.respond("k", customerId=TOO_LONG), "customerId"),
        (await api.respond("k", creativeId=TOO_LONG), "creativeId"),
        (await api.respond("k", recommendationId=TOO_LONG, rank=1), "recommendationId"),
        (await api.respond("k", outcome=TOO_LONG), "outcome"),
        (await api.post("/recommend", {"customerId": TOO_LONG}), "customerId"),
        (await api.post("/recommend", {"customerId": "c", "channel": TOO_LONG}), "channel"),
        (await api.post("/gdpr/erasure", {"customerId": TOO_LONG}), "customerId"),
        (await api.get("/interaction-history", params={"customerId": TOO_LONG}), "customerId"),
        (await api.get("/interaction-summaries", params={"customerId": TOO_LONG}), "customerId"),
    ):
        assert answer.status_code == 400, f"{field}: {answer.text}"
        assert answer.json()["error"]["details"][0]["field"] == field
    named = {"customerId": "c", "decisions": [{"rank": 1, "creativeId": "cr1"}]}
    assert (await api.put(f"/recommendations/{TOO_LONG}", named)).status_code == 400
    assert (await api.put("/recommendations/", named)).status_code == 400
    for path in ("/offers", "/algorithm-models", "/api-keys"):
        assert (await api.get(f"{path}/{TOO_LONG}")).status_code == 404


async def test_a_path_means_one_item(api: Api) -> None:
    """A line break at the end is part of the id, as everything is."""
    for suffix in ("%0A", "%00", "%20", "/", "%2F", "%2E"):
        assert (await api.delete(f"/offers/o1{suffix}")).status_code == 404, suffix
    for path in (
        "/offers/%2E%2E/settings",
        "/offers/..%2Fsettings",
        "/%2E%2E/api-keys",
        "//api-keys",
    ):
        assert (await api.get(path)).status_code in {401, 404}, path
    model = {"id": "a/b\n", "key": "ab", "modelType": "ucb"}
    assert (await api.post("/algorithm-models", model)).status_code == 201
    assert (await api.get("/algorithm-models/a%2Fb%0A")).json()["key"] == "ab"
    assert (await api.get("/algorithm-models/a%2Fb")).status_code == 404
