"""/algorithm-models: life cycle, configuration, warm starts, scores, metrics."""

from typing import Any

import httpx
import pytest

from learners.errors import LearnersUnavailable
from learners.models import MODELS
from storage import log
from storage.entry import ModelChange, OfferRemoved
from tests.integration.conftest import Api

pytestmark = pytest.mark.anyio

SHOWN = {
    "id",
    "key",
    "name",
    "modelType",
    "status",
    "config",
    "outcomeWeights",
    "version",
    "trainingSamples",
    "lastTrainedAt",
    "position",
    "metrics",
    "createdAt",
    "updatedAt",
}


async def create(api: Api, key: str = "m", model_type: str = "lin_ts", **more: Any) -> dict[str, Any]:
    answer = await api.post("/algorithm-models", {"key": key, "modelType": model_type, **more})
    assert answer.status_code == 201, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def promote(api: Api, model_id: str, *steps: str) -> dict[str, Any]:
    body: dict[str, Any] = {}
    for to in steps:
        answer = await api.post(f"/algorithm-models/{model_id}/promote", {"to": to})
        assert answer.status_code == 200, answer.text
        body = answer.json()
    return body


async def read(api: Api, model_id: str) -> dict[str, Any]:
    body: dict[str, Any] = (await api.get(f"/algorithm-models/{model_id}")).json()
    return body


async def learned(api: Api, key: str, **changed: Any) -> str:
    """Respond, and return when the models have learned it."""
    answer = await api.respond(key, **changed)
    assert answer.status_code == 201
    position = answer.headers["X-Log-Position"]
    await api.post("/recommend", {"customerId": "c"}, headers={"X-Min-Log-Position": position})
    return str(position)


async def test_every_type_can_be_made_and_learns(api: Api) -> None:
    for name in MODELS:
        await create(api, name, name, status="shadow")
    await learned(api, "k", attributes={"age": 38, "tier": "gold"}, conversionValue=12.5)
    listed = (await api.get("/algorithm-models?limit=100")).json()["data"]
    assert len(listed) == len(MODELS) + 1
    for model in listed:
        assert set(model) == SHOWN
        assert model["trainingSamples"] == 1, model["key"]
        scored = await api.post(f"/algorithm-models/{model['id']}/score", {"attributes": {"age": 40}})
        assert scored.status_code == 200
        rows = scored.json()["scores"]
        assert {row["offerId"] for row in rows} == {"o1", "o2"}
        assert all(isinstance(row["score"], float) and isinstance(row["mean"], float) for row in rows)
        state = (await api.get(f"/algorithm-models/{model['id']}/state?offerId=o1")).json()
        assert state["data"][0]["positives"] == 1


async def test_the_golden_scores_come_through_http(api: Api) -> None:
    weights = {"credit_score": 0.004, "income": 0.000015, "age": 0.005}
    model = await create(api, "golden", "online_learner", config={"weights": weights, "bias": -3.2})
    attributes = {"credit_score": 760, "income": 95000, "age": 38}
    answer = await api.post(
        f"/algorithm-models/{model['id']}/score", {"attributes": attributes, "offerIds": ["o1"]}
    )
    [row] = answer.json()["scores"]
    assert (round(row["score"], 4), round(row["mean"], 4)) == (0.8108, 0.8108)
    assert (await read(api, model["id"]))["trainingSamples"] == 0


async def test_a_draft_learns_nothing_and_a_shadow_does(api: Api) -> None:
    draft, shadow = await create(api, "d"), await create(api, "s", status="shadow")
    await learned(api, "k1")
    assert (await read(api, draft["id"]))["trainingSamples"] == 0
    assert (await read(api, shadow["id"]))["trainingSamples"] == 1
    await promote(api, draft["id"], "shadow")
    await learned(api, "k2")
    assert (await read(api, draft["id"]))["trainingSamples"] == 1


async def test_a_tenants_half_life_is_that_of_models_made_from_then_on(api: Api) -> None:
    assert (await create(api, "before"))["config"] == {}
    await api.put("/settings", {"halfLife": {"events": 500}})
    assert (await create(api, "after"))["config"] == {"halfLife": {"events": 500}}
    own = {"halfLife": {"seconds": 60}}
    assert (await create(api, "own", config=own))["config"] == own
    assert (await create(api, "never", config={"halfLife": None}))["config"] == {"halfLife": None}
    assert (await read(api, "model_default"))["config"] == {}


async def test_promotion_goes_step_by_step_and_replaces_the_champion(api: Api) -> None:
    model = await create(api)
    assert model["status"] == "draft"
    for illegal in ("challenger", "champion", "draft", "elsewhere"):
        answer = await api.post(f"/algorithm-models/{model['id']}/promote", {"to": illegal})
        assert answer.status_code == 400
    assert (await promote(api, model["id"], "shadow", "challenger", "champion"))["status"] == "champion"
    assert (await read(api, "model_default"))["status"] == "challenger"
    body = (await api.post("/recommend", {"customerId": "c"}, headers=await newest(api))).json()
    assert body["modelKey"] == "m"
    assert (await api.post(f"/algorithm-models/{model['id']}/promote", {"to": "archived"})).status_code == 400
    await promote(api, "model_default", "archived")
    assert (await api.post("/algorithm-models/model_default/promote", {"to": "draft"})).status_code == 400
    changes = await changes_of(api)
    swap = [(one.model_id, one.status) for one in changes[-3:-1]]
    assert swap == [("model_default", "challenger"), (model["id"], "champion")]


async def newest(api: Api) -> dict[str, str]:
    [head] = await log.heads(api.redis, [api.partition])
    return {"X-Min-Log-Position": str(head)}


async def changes_of(api: Api) -> list[ModelChange]:
    entries = await log.read(api.redis, api.partition, 0, count=1_000_000)
    return [e.body for e in entries if isinstance(e.body, ModelChange) and e.body.tenant == api.tenant]


async def test_a_model_can_start_from_the_log(api: Api) -> None:
    for i in range(40):
        await api.respond(f"k{i}", outcome="click" if i % 4 else "dismiss", attributes={"age": i})
    cold = await create(api, "cold", "lin_ts", status="shadow")
    warm = await create(api, "warm", "lin_ts", status="shadow", **{"from": "log"})
    live = await create(api, "beta", "thompson_bandit", status="shadow", **{"from": "log"})
    assert (cold["trainingSamples"], warm["trainingSamples"], live["trainingSamples"]) == (0, 40, 40)
    states = [
        (await api.get(f"/algorithm-models/{one}/state")).json()["data"] for one in ("model_default", live["id"])
    ]
    assert states[0] == states[1]
    await learned(api, "more")
    assert (await read(api, warm["id"]))["trainingSamples"] == 41


async def test_a_reset_forgets_and_goes_on(api: Api) -> None:
    await learned(api, "k1")
    answer = await api.post("/algorithm-models/model_default/reset", {})
    assert answer.status_code == 200
    assert (answer.json()["trainingSamples"], answer.json()["version"]) == (0, 2)
    assert (await api.get("/algorithm-models/model_default/state")).json()["data"] == []
    await learned(api, "k2")
    assert (await read(api, "model_default"))["trainingSamples"] == 1


async def test_a_change_that_plays_no_part_in_learning_keeps_what_was_learned(api: Api) -> None:
    model = await create(api, "m", "lin_ts", status="shadow")
    path = f"/algorithm-models/{model['id']}"
    await learned(api, "k1")
    changed = (await api.put(path, {"config": {"explore": 0.1, "seed": 7}, "name": "Linear"})).json()
    assert (changed["trainingSamples"], changed["name"], changed["version"]) == (1, "Linear", 2)
    anew = (await api.put(path, {"config": {"dim": 64}})).json()
    assert (anew["trainingSamples"], anew["config"]) == (0, {"dim": 64})
    assert (await api.put(path, {"config": None})).json()["config"] == {}


async def test_outcome_weights_are_rewards(api: Api) -> None:
    weights = {"purchase": 5.0, "dismiss": -0.5}
    model = await create(api, "m", "thompson_bandit", status="shadow", outcomeWeights=weights)
    for key, outcome in (("a", "purchase"), ("b", "dismiss"), ("c", "click")):
        await learned(api, key, outcome=outcome)
    [arm] = (await api.get(f"/algorithm-models/{model['id']}/state")).json()["data"]
    assert arm["parameters"] == {"alpha": 7.0, "beta": 1.5}


@pytest.mark.parametrize(
    ("body", "rule"),
    [
        ({"key": ...}, "key is required"),
        ({"modelType": ...}, "modelType is required"),
        ({"modelType": "oracle"}, "modelType must be one of"),
        ({"key": "a b"}, "key"),
        ({"status": "champion"}, "status"),
        ({"config": {"colour": 1}}, "config.colour"),
        ({"config": {"dim": 1}}, "config.dim"),
        ({"outcomeWeights": {"click": -1}}, "outcomeWeights.click must be greater than 0"),
        ({"outcomeWeights": {"click": 2e6}}, "outcomeWeights.click must be at most 1,000,000 in size"),
        ({"outcomeWeights": {"dismiss": 1}}, "outcomeWeights.dismiss must be less than 0"),
        ({"outcomeWeights": {"view": 1}}, "outcomeWeights.view must not be given"),
        ({"outcomeWeights": {"click": "1"}}, "outcomeWeights.click"),
        ({"from": "elsewhere"}, "from"),
    ],
)
async def test_a_bad_model_is_refused(api: Api, body: dict[str, Any], rule: str) -> None:
    given = {"key": "m", "modelType": "lin_ts", **body}
    answer = await api.post("/algorithm-models", {name: one for name, one in given.items() if one is not ...})
    assert answer.status_code == 400
    assert rule in answer.json()["error"]["message"]
    assert len(await changes_of(api)) == 1


async def test_keys_and_ids_are_unique_and_types_fixed(api: Api) -> None:
    model = await create(api, id="mine")
    assert model["id"] == "mine"
    for body in ({"key": "m"}, {"key": "default"}, {"key": "other", "id": "mine"}):
        assert (await api.post("/algorithm-models", {"modelType": "ucb", **body})).status_code == 409
    for change in ({"modelType": "ucb"}, {"key": "n"}, {"status": "champion"}, {"id": "x"}):
        answer = await api.put("/algorithm-models/mine", change)
        assert answer.status_code == 400
        assert "cannot be changed" in answer.json()["error"]["message"]
    for path in ("", "/state", "/score", "/reset", "/promote"):
        method = api.get if path in ("", "/state") else None
        if method:
            assert (await method(f"/algorithm-models/none{path}")).status_code == 404
        else:
            assert (await api.post(f"/algorithm-models/none{path}", {"to": "shadow"})).status_code == 404


async def test_a_tenant_has_a_bounded_number_of_models(api: Api) -> None:
    for i in range(19):
        await create(api, f"m{i}", "ucb")
    answer = await api.post("/algorithm-models", {"key": "more", "modelType": "ucb"})
    assert (answer.status_code, "at most 20" in answer.text) == (409, True)


async def test_a_deleted_offer_is_forgotten_by_every_model(api: Api) -> None:
    model = await create(api, "m", "lin_ts", status="shadow")
    await learned(api, "k1")
    await learned(api, "k2", creativeId="cr2")
    await api.delete("/creatives/cr2")
    assert (await api.delete("/offers/o2")).status_code == 204
    for one in ("model_default", model["id"]):
        data = (await api.get(f"/algorithm-models/{one}/state")).json()["data"]
        assert [arm["offerId"] for arm in data] == ["o1"]
    entries = await log.read(api.redis, api.partition, 0, count=1_000_000)
    assert [e.body.offer_id for e in entries if isinstance(e.body, OfferRemoved)][-1] == "o2"


async def test_unknown_offers_cannot_be_scored(api: Api) -> None:
    answer = await api.post("/algorithm-models/model_default/score", {"offerIds": ["o1", "nope"]})
    assert answer.status_code == 400
    assert "offerIds.1" in answer.json()["error"]["message"]


async def test_who_may_read_may_score_and_not_change(api: Api) -> None:
    await learned(api, "k")
    headers = {"Authorization": f"Bearer {await api.key('read')}"}
    score = await api.post("/algorithm-models/model_default/score", {}, headers=headers)
    assert score.status_code == 200
    for path, body in (("", {"key": "m", "modelType": "ucb"}), ("/model_default/reset", {})):
        assert (await api.post(f"/algorithm-models{path}", body, headers=headers)).status_code == 403


async def test_metrics_tell_how_well_a_model_predicts(api: Api) -> None:
    items = [
        {
            "customerId": "c",
            "creativeId": "cr1",
            "outcome": "click" if i % 2 else "dismiss",
            "idempotencyKey": str(i),
            "attributes": {"side": i % 2},
        }
        for i in range(400)
    ]
    model = await create(api, "m", "logistic_ts", status="shadow")
    assert (await api.post("/respond/bulk", {"outcomes": items})).status_code == 207
    await api.post("/recommend", {"customerId": "c"}, headers=await newest(api))
    blind, seeing = [(await read(api, one))["metrics"] for one in ("model_default", model["id"])]
    assert blind["samples"] == seeing["samples"] >= 350
    assert seeing["auc"] > 0.9 > blind["auc"]
    assert seeing["logLoss"] < 0.4
    assert blind["logLoss"] > 0.65
    assert blind["meanReward"] == pytest.approx(0.5, abs=0.05)
    assert sum(row["count"] for row in seeing["calibration"]) == seeing["samples"]
    assert seeing["drift"] == {"detections": 0, "lastAtSample": None}


async def test_learners_that_are_away_are_an_answer_and_no_traceback(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: Any) -> None:
        raise LearnersUnavailable("learner-00 is away")

    monkeypatch.setattr(api.app.state.services.learners, "models", away)
    transport = httpx.ASGITransport(api.app)  # raises what the application lets out, and what Ray would then log
    async with httpx.AsyncClient(transport=transport, base_url="http://test", headers=api.http.headers) as http:
        answer = await http.get("/api/v1/algorithm-models")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
