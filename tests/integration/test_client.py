"""The client against the real application, in this process: each method gives what its type says."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from serve.client import (
    AsyncClient,
    Conflict,
    Forbidden,
    InvalidRequest,
    KeyReused,
    NotFound,
    Outcome,
    Shown,
    Unauthorized,
)
from tests.integration.conftest import Api

pytestmark = pytest.mark.anyio


@pytest.fixture
async def client(api: Api) -> AsyncIterator[AsyncClient]:
    async with open_client(api, await api.key("admin")) as opened:
        yield opened


def open_client(api: Api, key: str, tenant: str | None = None) -> AsyncClient:
    transport = httpx.ASGITransport(api.app, raise_app_exceptions=False)
    return AsyncClient("http://test", tenant or api.tenant, key, transport=transport)


async def test_every_field_of_an_outcome_arrives(client: AsyncClient) -> None:
    moment = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
    whole = Outcome(
        customer_id="c1",
        outcome="purchase",
        creative_id="cr1",
        rank=2,
        timestamp=moment,
        conversion_value=12.5,
        attributes={"tier": "gold", "age": 38, "new": True},
        direction="outbound",
        context={"page": {"id": 7}},
        outcome_details={"items": [1, 2]},
        channel="web",
        placement="hero",
        device_type="phone",
        response_time=15,
        interaction_id="mine",
    )
    answer = await client.respond_bulk([whole, whole])
    assert [row.status for row in answer.results] == [201, 200]
    [event] = [one async for one in client.history(customer_id="c1", outcome="purchase")]
    assert (event.timestamp, event.rank, event.direction) == (moment, 2, "outbound")
    assert event.conversion_value == 12.5
    more = {"channel": "web", "placement": "hero", "deviceType": "phone", "responseTime": 15}
    assert event.context == {"page": {"id": 7}, **more}
    assert event.outcome_details == {"items": [1, 2]}


async def test_a_recommendation_made_elsewhere_is_answered_by_rank(client: AsyncClient) -> None:
    decisions = [Shown(rank=1, creative_id="cr1", propensity=0.5), Shown(rank=2, creative_id="cr2")]
    made = await client.register_recommendation("r/1", customer_id="c1", decisions=decisions)
    assert [(one.rank, one.offer_id, one.propensity) for one in made.decisions] == [(1, "o1", 0.5), (2, "o2", None)]
    answer = await client.respond(customer_id="c1", outcome="click", recommendation_id="r/1", rank=2)
    assert answer.offer_name == "Silver"
    with pytest.raises(Conflict):
        await client.register_recommendation("r/1", customer_id="c2", decisions=decisions)


async def test_lists_come_whole_over_many_pages(client: AsyncClient) -> None:
    more = [{"id": f"x{n}", "name": f"X {n}"} for n in range(60)]
    counts = await client.put_catalog(offers=more, outcome_types=[{"key": "wow", "name": "Wow"}])
    assert (counts.created, counts.offers, counts.outcome_types) == (61, 60, 1)
    offers = [one async for one in client.offers()]
    assert len({one.id for one in offers}) == len(offers) == 62
    assert {one.offer_id async for one in client.creatives()} == {"o1", "o2"}
    assert "wow" in {one.key for one in await client.outcome_types()}


async def test_models_are_read_scored_and_promoted(client: AsyncClient, api: Api) -> None:
    made = (await api.post("/algorithm-models", {"key": "m2", "modelType": "ucb"})).json()
    assert (await client.promote(made["id"], to="shadow")).status == "shadow"
    with pytest.raises(InvalidRequest, match="to must be one of"):
        await client.promote(made["id"], to="champion")
    answer = await client.respond(customer_id="c1", outcome="click", creative_id="cr1")
    seen = await client.recommend("c1", min_log_position=answer.log_position, debug=True)
    assert seen.meta["finalCount"] == seen.count == 2
    models = {one.key: one async for one in client.models()}
    assert (models["default"].status, models["default"].training_samples) == ("champion", 1)
    assert (await client.model("model_default")).last_trained_at is not None
    state = await client.model_state("model_default", offer_id="o1")
    assert [(arm.offer_id, arm.positives) for arm in state.data] == [("o1", 1)]
    scores = await client.score("model_default", attributes={"age": 3}, offer_ids=["o1"])
    assert [one.offer_id for one in scores.scores] == ["o1"]


async def test_what_outcomes_feed_is_read(client: AsyncClient, api: Api) -> None:
    metric = {"name": "Revenue", "aggregateFunction": "sum", "sourceField": "conversionValue"}
    metric_id = (await api.post("/behavioral-metrics", metric)).json()["id"]
    policy = {
        "name": "Quiet",
        "ruleType": "outcome_based",
        "config": {"afterOutcome": ["purchase"], "suppressForDays": 1},
    }
    await api.post("/contact-policies", policy)
    experiment = {"key": "e1", "championModelId": "model_default", "trafficSplit": {"championPct": 100}}
    await api.post("/experiments", {**experiment, "status": "active", "holdoutPercent": 50})
    await client.respond(customer_id="c1", outcome="click", creative_id="cr2")
    await client.respond(customer_id="c1", outcome="purchase", creative_id="cr1", conversion_value=4.25)
    await client.recommend("c2")

    [conversion] = [one async for one in client.attributions(customer_id="c1", model="last_touch")]
    assert [(touch.offer_id, touch.attributed_value) for touch in conversion.touches] == [("o2", 4.25)]
    summaries = [one async for one in client.summaries("c1", period_type="alltime", offer_id="o1")]
    assert [(one.positive, one.total_value) for one in summaries] == [(1, 4.25)]
    assert {row.id for row in (await client.rollup(group_by="creative", days=2)).data} == {"cr1", "cr2"}
    assert [(await client.metric_values(one.id)).data[0].value async for one in client.metrics()] == [4.25]
    assert (await client.metric_values(metric_id)).position > 0
    [held_back] = [one async for one in client.suppressions("c1")]
    assert held_back.until > datetime.now(UTC)
    [running] = [one async for one in client.experiments()]
    results = await client.experiment_results(running.id)
    assert sum(variant.samples for variant in results.variants) == 1
    assert {variant.role for variant in results.variants} == {"champion", "holdout"}


async def test_settings_are_changed_in_part(client: AsyncClient) -> None:
    changed = await client.change_settings({"rateLimits": {"default": 99}})
    assert (changed.rate_limits.default, changed.rate_limits.respond) == (99, 1_000)
    assert await client.settings() == changed


async def test_refusals_are_told_by_kind(client: AsyncClient, api: Api) -> None:
    with pytest.raises(InvalidRequest, match="400 BAD_REQUEST: rank must be at least 1") as caught:
        await client.respond(customer_id="c1", outcome="click", creative_id="cr1", rank=0)
    assert [detail.field for detail in caught.value.details] == ["rank"]
    with pytest.raises(NotFound):
        await client.model("none")
    await client.change_settings({"idempotency": {"onMismatch": "reject"}})
    await client.respond(customer_id="c1", outcome="click", creative_id="cr1", idempotency_key="k")
    with pytest.raises(KeyReused):
        await client.respond(customer_id="c1", outcome="view", creative_id="cr1", idempotency_key="k")
    read_only = (await api.post("/api-keys", {"name": "reader", "scopes": ["read"]})).json()["key"]
    async with open_client(api, read_only) as reader:
        with pytest.raises(Forbidden, match="respond"):
            await reader.respond(customer_id="c1", outcome="click", creative_id="cr1")
    async with open_client(api, read_only, tenant="nobody") as stranger:
        with pytest.raises(Unauthorized):
            await stranger.outcome_types()
