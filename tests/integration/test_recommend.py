"""POST /recommend, rule by rule."""

import asyncio
import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from learners.answers import CHAMPION, Known, ModelOf, Published
from learners.errors import LearnersUnavailable
from learners.snapshots import Snapshots
from storage import log
from storage.entry import Decision, Entry, Outcome
from tests.integration.conftest import Api

pytestmark = pytest.mark.anyio

DECISION_KEYS = {
    "rank",
    "offerId",
    "offerName",
    "creativeId",
    "creativeName",
    "channelId",
    "channelName",
    "placementId",
    "categoryName",
    "score",
    "propensity",
    "interactionId",
}


async def recommend(api: Api, headers: dict[str, str] | None = None, **body: Any) -> httpx.Response:
    return await api.post("/recommend", {"customerId": "c1", **body}, headers=headers)


async def offers_of(api: Api, **body: Any) -> set[str]:
    answer = await recommend(api, **body)
    assert answer.status_code == 200, answer.text
    return {one["offerId"] for one in answer.json()["decisions"]}


async def entries_of(api: Api, kind: type) -> list[Entry]:
    entries = await log.read(api.redis, api.partition, 0, count=1_000_000)
    return [e for e in entries if isinstance(e.body, kind) and e.body.tenant == api.tenant]


async def test_a_decision_is_answered_with_exactly_the_contracts_keys(api: Api) -> None:
    answer = await recommend(api, channel="Web")
    assert answer.status_code == 200
    body = answer.json()
    assert set(body) == {
        "recommendationId",
        "customerId",
        "count",
        "controlGroup",
        "modelKey",
        "variant",
        "decisions",
    }
    assert body["recommendationId"].startswith("rec_")
    assert (body["customerId"], body["count"], body["modelKey"]) == ("c1", 1, "default")
    assert (body["controlGroup"], body["variant"]) == (False, None)
    [decision] = body["decisions"]
    assert set(decision) == DECISION_KEYS
    assert decision["interactionId"].startswith("int_")
    assert 0 < decision["score"] < 1
    assert decision["propensity"] == 1.0  # there is but one candidate
    kept = ("rank", "offerId", "offerName", "creativeId", "channelId", "placementId", "categoryName")
    assert [decision[name] for name in kept] == [1, "o1", "Gold", "cr1", "ch1", "pl1", "Cards"]
    assert answer.headers["X-Log-Position"].isdigit()
    assert answer.headers["RateLimit-Policy"] == '"recommend";q=6000;w=60'


async def test_the_decision_is_in_the_log_as_it_was_answered(api: Api) -> None:
    answer = await recommend(
        api, attributes={"age": 38, "gone": None}, segments=["vip"], context={"page": {"x": 1}}, limit=1
    )
    body = answer.json()
    [entry] = await entries_of(api, Decision)
    decision = entry.body
    assert isinstance(decision, Decision)
    assert decision.recommendation_id == body["recommendationId"]
    assert decision.features == {"age": 38, "segment:vip": True}
    assert json.loads(decision.context or "") == {"page": {"x": 1}}
    assert sorted(decision.candidates) == ["o1", "o2"]
    assert decision.model_position == int(answer.headers["X-Log-Position"])
    [shown], [told] = decision.shown, body["decisions"]
    assert (shown.rank, shown.resolution.creative_id, shown.score) == (1, told["creativeId"], told["score"])
    assert (shown.propensity, shown.interaction_id) == (told["propensity"], told["interactionId"])


async def test_an_outcome_by_rank_resolves_to_what_was_shown(api: Api) -> None:
    body = (await recommend(api, attributes={"age": 38})).json()
    for decision in body["decisions"]:
        answer = await api.respond(
            f"k{decision['rank']}",
            creativeId=...,
            recommendationId=body["recommendationId"],
            rank=decision["rank"],
            attributes={"age": 99, "device": "mobile"},
        )
        assert answer.status_code == 201
        told = answer.json()
        for name in ("rank", "offerName", "creativeName", "channelName", "categoryName"):
            assert told[name] == decision[name]
    first = (await entries_of(api, Outcome))[0]
    assert first.decision is not None
    assert first.decision.propensity == body["decisions"][0]["propensity"]
    assert (first.decision.model_key, first.decision.delivered) == ("default", False)
    assert first.learning_features == {"age": 38, "device": "mobile"}
    other = await api.respond("x", creativeId=..., recommendationId=body["recommendationId"], rank=9)
    assert other.status_code == 404
    stranger = await api.respond(
        "y", creativeId=..., recommendationId=body["recommendationId"], rank=1, customerId="c2"
    )
    assert stranger.status_code == 404


async def test_candidates_are_active_scheduled_and_not_excluded(api: Api) -> None:
    assert await offers_of(api) == {"o1", "o2"}
    assert await offers_of(api, channel="ch2") == {"o2"}
    assert await offers_of(api, channelId="Mail") == {"o2"}
    assert await offers_of(api, placement="Hero") == {"o1"}
    assert await offers_of(api, excludeOffers=["o1"]) == {"o2"}
    assert await offers_of(api, excludeCreatives=["cr2"]) == {"o1"}
    assert await offers_of(api, channel="Web", excludeOffers=["o1"]) == set()
    await api.put("/offers/o2", {"status": "paused"})
    assert await offers_of(api) == {"o1"}
    await api.put("/categories/cat1", {"status": "paused"})
    assert await offers_of(api) == set()
    await api.put("/categories/cat1", {"status": "active"})
    for change, offers in (("paused", set()), ("active", {"o1"})):
        await api.put("/channels/ch1", {"status": change})
        assert await offers_of(api) == offers
    for change, offers in (("archived", set()), ("active", {"o1"})):
        await api.put("/placements/pl1", {"status": change})
        assert await offers_of(api) == offers
    await api.put("/creatives/cr1", {"weight": 0})
    assert await offers_of(api) == set()


async def test_a_schedule_opens_and_closes(api: Api) -> None:
    now = datetime.now(UTC)
    yesterday, soon = (now + timedelta(days=-1)).isoformat(), (now + timedelta(milliseconds=400)).isoformat()
    await api.put("/offers/o1", {"schedule": {"endAt": yesterday}})
    await api.put("/offers/o2", {"schedule": {"startAt": soon}})
    assert await offers_of(api) == set()
    deadline = asyncio.get_running_loop().time() + 5
    while await offers_of(api) != {"o2"}:  # nothing was written: the candidates know how long they hold
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.02)


async def test_a_creative_without_a_placement_fits_each_and_is_chosen_by_weight(api: Api) -> None:
    creative = {"name": "Gold wide", "offerId": "o1", "channelId": "ch1", "weight": 50}
    assert (await api.post("/creatives", {"id": "cr3", **creative})).status_code == 201
    shown: Counter[str] = Counter()
    for _ in range(150):
        [decision] = (await recommend(api, placement="pl1")).json()["decisions"]
        assert decision["placementId"] == "pl1"
        shown[decision["creativeId"]] += 1
    # Weights 100 and 50; five standard errors of a share of 1/3 in 150.
    assert shown["cr3"] / 150 == pytest.approx(1 / 3, abs=5 * (2 / 9 / 150) ** 0.5)


async def test_debug_tells_the_funnel(api: Api) -> None:
    await api.put("/offers/o2", {"status": "paused"})
    await api.post("/offers", {"id": "o3", "name": "Bare"})
    meta = (await recommend(api, debug=True, excludeOffers=["o1"])).json()["meta"]
    assert {row["offerId"]: row["reason"] for row in meta["removed"]} == {
        "o1": "excluded",
        "o2": "inactive",
        "o3": "noCreative",
    }
    counts = ("candidateCount", "afterSuppression", "afterContactPolicy", "finalCount")
    assert [meta[name] for name in counts] == [1, 0, 0, 0]
    assert (meta["modelId"], meta["modelType"]) == ("model_default", "thompson_bandit")
    assert "meta" not in (await recommend(api)).json()


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"customerId": None}, "customerId"),
        ({"limit": 0}, "limit"),
        ({"limit": 51}, "limit"),
        ({"limit": "5"}, "limit"),
        ({"channel": "nowhere"}, "channel"),
        ({"channelId": "nowhere"}, "channelId"),
        ({"channel": "Web", "channelId": "ch2"}, "channelId"),
        ({"channel": "Mail", "placement": "Hero"}, "placement"),
        ({"placementId": "nowhere"}, "placementId"),
        ({"attributes": {"a": [1]}}, "attributes"),
        ({"segments": [1]}, "segments"),
        ({"excludeOffers": "o1"}, "excludeOffers"),
        ({"debug": 1}, "debug"),
    ],
)
async def test_a_bad_field_is_named_and_nothing_logged(api: Api, body: dict[str, Any], field: str) -> None:
    answer = await recommend(api, **body)
    assert answer.status_code == 400
    assert field in answer.json()["error"]["message"]
    assert "RateLimit" in answer.headers
    assert await entries_of(api, Decision) == []


@pytest.mark.parametrize("position", ["x", "-1", "1.0", "", "9" * 19])
async def test_a_bad_position_is_refused(api: Api, position: str) -> None:
    answer = await recommend(api, {"X-Min-Log-Position": position})
    assert answer.status_code == 400
    assert "X-Min-Log-Position" in answer.json()["error"]["message"]


async def test_an_acknowledged_reward_is_in_the_next_recommendation_that_asks_for_it(api: Api) -> None:
    await recommend(api)
    for i in range(30):
        position = (await api.respond(f"k{i}", creativeId="cr2" if i % 2 else "cr1")).headers["X-Log-Position"]
        answer = await recommend(api, {"X-Min-Log-Position": position}, debug=True)
        assert int(answer.headers["X-Log-Position"]) >= int(position)
        assert answer.json()["meta"]["modelVersion"] == int(position)


async def test_a_position_that_is_not_there_yet_is_waited_for_and_not_for_ever(api: Api) -> None:
    await recommend(api)
    started = asyncio.get_running_loop().time()
    answer = await recommend(api, {"X-Min-Log-Position": "999999999"})
    assert asyncio.get_running_loop().time() - started >= 0.25
    assert answer.status_code == 200
    assert int(answer.headers["X-Log-Position"]) < 999999999


async def test_implicit_impressions_are_counted_once(api: Api) -> None:
    await api.put("/channels/ch1", {"impressionMode": "implicit"})
    body = (await recommend(api)).json()
    by_channel = {one["channelId"]: one for one in body["decisions"]}

    async def deliveries() -> dict[str, int]:
        rows = (await api.get("/interaction-summaries?customerId=c1&periodType=alltime")).json()["data"]
        return {row["creativeId"]: row["impressions"] for row in rows}

    assert await deliveries() == {"cr1": 1}
    for channel in ("ch1", "ch2"):
        answer = await api.respond(
            channel,
            creativeId=...,
            outcome="impression",
            recommendationId=body["recommendationId"],
            rank=by_channel[channel]["rank"],
        )
        assert answer.status_code == 201
    assert await deliveries() == {"cr1": 1, "cr2": 1}
    first, second = await entries_of(api, Outcome)
    assert (first.is_delivery, second.is_delivery) == (False, True)
    rows = (await api.get("/interaction-summaries?customerId=c1&periodType=alltime")).json()["data"]
    assert {row["creativeId"]: row["neutral"] for row in rows} == {"cr1": 1, "cr2": 1}


async def test_scope_and_limit(api: Api) -> None:
    key = await api.key("respond")
    assert (await recommend(api, {"Authorization": f"Bearer {key}"})).status_code == 403
    await api.put("/settings", {"rateLimits": {"recommend": 2}})
    statuses = [(await recommend(api)).status_code for _ in range(3)]
    assert statuses == [200, 200, 429]
    assert len(await entries_of(api, Decision)) == 2


async def test_a_change_of_the_catalogue_holds_from_the_next_recommendation_on(api: Api) -> None:
    await recommend(api)
    assert (await api.delete("/creatives/cr1")).status_code == 204
    assert await offers_of(api) == {"o2"}
    await api.post("/channels", {"id": "ch9", "name": "New", "channelType": "sms"})
    assert await offers_of(api, channel="New") == set()


async def test_a_learner_that_is_away_leaves_recommendations_as_they_were(api: Api) -> None:
    calls = 0

    async def watch(partition: int, known: dict[ModelOf, Known], wait_s: float) -> dict[ModelOf, Published]:
        nonlocal calls
        calls += 1
        if calls > 1:
            raise LearnersUnavailable("gone")
        return await api.learners.watch(partition, known, wait_s)

    snapshots = Snapshots(watch)  # type: ignore[arg-type]
    try:
        held = await snapshots.get(api.partition, (api.tenant, CHAMPION))
        await api.respond("k")
        async with asyncio.timeout(5):
            while calls < 3:
                await asyncio.sleep(0.01)
        again = await snapshots.get(api.partition, (api.tenant, CHAMPION), held.position + 1, 0.05)
        assert again == held
        with pytest.raises(LearnersUnavailable):
            await snapshots.get(api.partition, ("another", CHAMPION))
    finally:
        await snapshots.close()
