"""The client against a running service: round trips, kills, limits, and the shop of the examples."""

import asyncio
import re
import signal
import subprocess
import sys
import threading
import time
from asyncio import wrap_future
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from serve.client import (
    Acknowledged,
    AsyncClient,
    BatchFailed,
    Client,
    NotFound,
    Outcome,
    RateLimited,
    Unauthorized,
)
from storage.entry import Outcome as Logged
from tests.service import Service, until

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[2]
CALLS = 2_000
KILL_AFTER = 400
WORKERS = 16
PATIENT = "client-limit"


def access(service: Service, tenant: str) -> tuple[str, str, str]:
    """Make a tenant; return what a client of it needs."""
    key = service.tenant(tenant)["Authorization"].removeprefix("Bearer ")
    return service.url, tenant, key


async def logged(service: Service, tenant: str) -> list[str]:
    """Return the interaction ids of a tenant's outcomes in the log."""
    entries = await service.entries(tenant)
    return [entry.body.interaction_id for entry in entries if isinstance(entry.body, Logged)]


@dataclass(frozen=True)
class Patient:
    """A client that met its limit: how long it was told to wait, and how long it waited."""

    told_s: float
    waited_s: float


@pytest.fixture(scope="module", autouse=True)
def patient(service: Service) -> Iterator[Future[Patient]]:
    """A client that waits for its limit's minute while the other tests of this file run."""
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(meet_the_limit, *access(service, PATIENT))


def meet_the_limit(url: str, tenant: str, key: str) -> Patient:
    click: dict[str, Any] = {"customer_id": "c1", "outcome": "click", "creative_id": "cr1"}
    with Client(url, tenant, key, deadline_s=90) as client, Client(url, tenant, key, deadline_s=2) as hurried:
        assert client.change_settings({"rateLimits": {"respond": 2}}).rate_limits.respond == 2
        for _ in range(2):
            client.respond(**click)
        started = time.monotonic()
        with pytest.raises(RateLimited) as caught:
            hurried.respond(**click)
        told_s = caught.value.retry_after_s
        assert told_s is not None
        client.respond(**click)
        return Patient(told_s, time.monotonic() - started)


def test_recommend_respond_learn(service: Service) -> None:
    with Client(*access(service, "client-sync")) as client:
        shown = client.recommend("c1", channel="Web", attributes={"age": 38}, debug=True)
        answer = client.respond(
            customer_id="c1", outcome="click", recommendation_id=shown.recommendation_id, rank=1, context={"a": 1}
        )
        assert (answer.status, answer.offer_name, answer.recommendation_id) == (
            "recorded",
            "Gold",
            shown.recommendation_id,
        )
        assert answer.log_position is not None
        again = client.recommend("c1", min_log_position=answer.log_position)
        assert again.log_position is not None
        assert again.log_position >= answer.log_position
        [arm] = client.model_state("model_default", offer_id="o1").data
        assert (arm.pulls, arm.parameters["alpha"]) == (1, 2.0)
        [event] = client.history(customer_id="c1")
        assert (event.id, event.context) == (answer.interaction_id, {"a": 1})
        assert {one.key for one in client.outcome_types()} > {"click", "dismiss"}
        assert [one.id for one in client.offers()] == ["o1", "o2"]
        with pytest.raises(NotFound, match="creativeId was not found") as caught:
            client.respond(customer_id="c1", outcome="click", creative_id="none")
        assert caught.value.request_id
    with Client(service.url, "client-sync", "rl_no_key") as stranger, pytest.raises(Unauthorized):
        stranger.outcome_types()


async def test_the_same_in_an_event_loop(service: Service) -> None:
    async with AsyncClient(*access(service, "client-async")) as client:
        shown = await client.recommend("c1", placement="pl1")
        sent = {"customer_id": "c1", "outcome": "click", "recommendation_id": shown.recommendation_id}
        first = await client.respond(**sent, rank=1, idempotency_key="k")  # type: ignore[arg-type]
        again = await client.respond(**sent, rank=1, idempotency_key="k")  # type: ignore[arg-type]
        assert (first.status, again.status) == ("recorded", "already_recorded")
        assert first.interaction_id == again.interaction_id
        changed = await client.respond(customer_id="c2", outcome="view", creative_id="cr1", idempotency_key="k")
        assert changed.mismatch
        async with client.batch(size=100) as batch:
            for number in range(250):
                await batch.respond(customer_id=f"c{number}", outcome="view", creative_id="cr2")
        assert batch.recorded == 250
        unknown = Outcome(customer_id="c1", outcome="click", creative_id="none")
        with pytest.raises(BatchFailed, match="creativeId was not found") as caught:
            async with client.batch() as batch:
                await batch.add(unknown)
        assert [failure.outcome for failure in caught.value.failures] == [unknown]
    assert len(await logged(service, "client-async")) == 251


class Noting(httpx.AsyncHTTPTransport):
    """Counts the attempts that met trouble."""

    troubles = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        try:
            response = await super().handle_async_request(request)
        except httpx.TransportError:
            self.troubles += 1
            raise
        self.troubles += response.status_code not in {200, 201}
        return response


async def test_a_killed_replica_costs_no_outcome_and_doubles_none(service: Service) -> None:
    url, tenant, key = access(service, "client-replica")
    numbers = iter(range(CALLS))
    answers: dict[int, Acknowledged] = {}

    async def work(client: AsyncClient) -> None:
        for number in numbers:
            answers[number] = await client.respond(
                customer_id=f"c{number}", outcome="click", creative_id="cr1", idempotency_key=f"key-{number}"
            )

    async def kill() -> None:
        while len(answers) < KILL_AFTER:
            await asyncio.sleep(0.005)
        await asyncio.to_thread(service.kill, "ray::ServeReplica")

    transport = Noting()
    async with AsyncClient(url, tenant, key, deadline_s=120, transport=transport) as client:
        await asyncio.gather(kill(), *(work(client) for _ in range(WORKERS)))
        assert transport.troubles, "the kill came while requests were under way"
        assert len(answers) == CALLS
        ids = await logged(service, tenant)
        assert len(ids) == len(set(ids)) == CALLS
        assert set(ids) == {answer.interaction_id for answer in answers.values()}
        for number in range(0, CALLS, 97):
            again = await client.respond(
                customer_id=f"c{number}", outcome="click", creative_id="cr1", idempotency_key=f"key-{number}"
            )
            assert again.status == "already_recorded"
            assert again.interaction_id == answers[number].interaction_id
    until(service.ready, 60, "the service is ready again")


@pytest.mark.parametrize("how", ["killed", "stopped"])
async def test_a_redis_that_is_away_is_waited_for(service: Service, how: str) -> None:
    url, tenant, key = access(service, f"client-redis-{how}")
    with Client(url, tenant, key, deadline_s=120) as client, client.batch(max_age_s=0.01) as batch:
        client.respond(customer_id="c0", outcome="click", creative_id="cr1")
        [server] = service.processes("redis-server")
        if how == "killed":
            service.kill("redis-server")
        else:
            server.send_signal(signal.SIGSTOP)
            threading.Timer(2.0, server.send_signal, [signal.SIGCONT]).start()
        batch.respond(customer_id="c1", outcome="click", creative_id="cr1")
        client.respond(customer_id="c2", outcome="click", creative_id="cr1")
    assert batch.recorded + batch.duplicates == 1
    ids = await logged(service, tenant)
    assert len(ids) == len(set(ids)) == 3
    until(service.ready, 60, "the service is ready again")


def test_the_shop_of_the_examples_learns(service: Service) -> None:
    service.command("tenants", "create", "shop")
    service.command("catalog", "load", str(ROOT / "serve" / "demo" / "catalog.json"), "--tenant", "shop")
    key = service.command("keys", "create", "--tenant", "shop").strip()
    environment = {
        **service.environment,
        "REWARDLOOP_URL": service.url,
        "REWARDLOOP_TENANT": "shop",
        "REWARDLOOP_KEY": key,
    }
    shop = ROOT / "examples" / "shop.py"
    for _ in range(2):
        done = subprocess.run([sys.executable, shop], env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    assert "told of 2 outcomes of last week" in done.stdout
    rows = re.findall(r"^([\w-]+): .* shown (\d+)$", done.stdout, re.MULTILINE)
    pulls = {offer: int(shown) for offer, shown in rows}
    # 40 % against 5 %: after 600 visitors the better offer has had far more than an equal share.
    assert pulls["travel-card"] > 2 * pulls["gold-card"]


def test_the_page_about_the_client_is_true(service: Service, tmp_path: Path) -> None:
    service.command("tenants", "create", "page")
    service.command("catalog", "load", str(ROOT / "serve" / "demo" / "catalog.json"), "--tenant", "page")
    key = service.command("keys", "create", "--tenant", "page").strip()
    page = (ROOT / "docs" / "client.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    program = tmp_path / "page.py"
    program.write_text("\n".join(blocks))
    environment = {
        **service.environment,
        "REWARDLOOP_URL": service.url,
        "REWARDLOOP_TENANT": "page",
        "REWARDLOOP_KEY": key,
    }
    done = subprocess.run([sys.executable, program], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "recorded " in done.stdout
    assert done.stdout.endswith("2501 0\n")


async def test_the_rate_limit_is_waited_for_or_told(service: Service, patient: Future[Patient]) -> None:
    waited = await wrap_future(patient)
    assert 2 < waited.told_s <= 60
    # The window opens when the wait that was told is over, not before; a second is what whole seconds round.
    assert waited.waited_s >= waited.told_s - 1
    assert len(await logged(service, PATIENT)) == 3
