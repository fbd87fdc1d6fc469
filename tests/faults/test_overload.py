"""More than the service can take: what is too much is refused, and nobody else notices."""

import asyncio
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from storage.entry import Outcome
from tests.flood import Flooded, Plan, flood, flooding
from tests.service import Service, until

pytestmark = pytest.mark.alone

SATURATED_S, OVERLOADED_S, NORMAL_S = 3.0, 10.0, 2.0
NORMAL_AGAIN_S = 5.0
UNBOUNDED_S = OVERLOADED_S * 2 / 3
"""What the last would take in a queue without bounds, of which a third is served meanwhile."""
PLATEAU_MB = 64
"""With its first segment the archive's libraries come into the learner's memory; 8 KB a request would be more."""
PARTS = ("ray::ServeReplica", "ray::LearnerActor", "haproxy", "ray::ProxyActor", "raylet", "gcs_server")
CALLERS = {0: 3_900, 50: 1_500}
"""By items of a request. HAProxy takes 4,096 connections, so no more requests are under way, whatever the rate."""
FEW = 0.2
"""Of the requests: when the disk or the cores belong to others for seconds, some are refused by rights."""
ITEMS = pytest.mark.parametrize("items", list(CALLERS), ids=["single", "bulk"])


class Memory:
    """What each process takes, but Redis: its log grows by what it is given, as it must."""

    def __init__(self, service: Service) -> None:
        self._processes = {f"{title} {one.pid}": one for title in PARTS for one in service.processes(title)}
        self._taken: list[dict[str, int]] = []

    @contextmanager
    def watched(self) -> Iterator[None]:
        done = threading.Event()

        def watch() -> None:
            while not done.wait(0.25):
                self._taken.append({name: one.memory_info().rss for name, one in self._processes.items()})

        thread = threading.Thread(target=watch)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def grown(self) -> dict[str, float]:
        """Return by how many MB each grew from the second quarter to the last one."""
        quarter = len(self._taken) // 4
        second, last = self._taken[quarter : 2 * quarter], self._taken[-quarter:]
        return {
            name: (max(one[name] for one in last) - max(one[name] for one in second)) / 1e6 for name in second[0]
        }


def plan_of(service: Service, headers: dict[str, str], keys: str, **given: Any) -> Plan:
    return Plan(service.port, headers, keys, **given)


def logged_once(service: Service, tenant: str, *floods: Flooded) -> None:
    until(service.ready, 30, "the learners have caught up")
    outcomes, shard, live = asyncio.run(service.fold(tenant))
    ids = [entry.body.interaction_id for entry in outcomes if isinstance(entry.body, Outcome)]
    assert len(ids) == len(set(ids))
    assert set(ids) >= {one for told in floods for one in told.acknowledged}, "what was acknowledged is there"
    assert shard.state() == live


def refused(told: Flooded) -> float:
    """Return the share of requests that were refused."""
    return told.statuses.get(503, 0) / told.sent


@ITEMS
def test_three_times_what_saturates_it(service: Service, items: int) -> None:
    tenant, accepted = f"overload-{items}", 207 if items else 201
    headers = service.tenant(tenant)
    saturated = flood(plan_of(service, headers, "saturated", seconds=SATURATED_S, items=items))
    assert refused(saturated) < FEW
    memory, rate = Memory(service), 3 * saturated.rate
    with memory.watched():
        much = plan_of(
            service, headers, "much", seconds=OVERLOADED_S, rate=rate, connections=CALLERS[items], items=items
        )
        over = flood(much)
    ended = time.monotonic()
    assert set(over.statuses) == {accepted, 503}
    assert not over.without_retry_after
    assert max(over.accepted_s) < UNBOUNDED_S
    assert max(memory.grown().values()) < PLATEAU_MB, memory.grown()
    until(service.ready, NORMAL_AGAIN_S, "ready again")
    time.sleep(max(0.0, ended + NORMAL_AGAIN_S - time.monotonic()))
    normal = flood(plan_of(service, headers, "normal", seconds=NORMAL_S, rate=saturated.rate / 3, items=items))
    assert refused(normal) < FEW
    logged_once(service, tenant, saturated, over, normal)


@ITEMS
def test_a_tenant_that_wants_all_takes_nothing_from_another(service: Service, items: int) -> None:
    hot, quiet = service.tenant(f"hot-{items}"), service.tenant(f"quiet-{items}")
    wants = plan_of(service, hot, "all", seconds=60, connections=CALLERS[items] - 100, items=items)
    with flooding(wants):
        time.sleep(2)
        mine = flood(plan_of(service, quiet, "mine", seconds=4, connections=2))
        its = flood(plan_of(service, hot, "its", seconds=2, connections=8, items=items))
    assert refused(its) > 0, "the other has less than it wants"
    assert refused(mine) < refused(its) / 10, "in order of arrival it would be as much"
    logged_once(service, f"quiet-{items}", mine)


def test_a_learner_that_stands_still_holds_up_no_commit(service: Service) -> None:
    headers = service.tenant("standstill")
    [learner] = service.processes("ray::LearnerActor")
    [replica] = service.processes("ray::ServeReplica")
    before = replica.memory_info().rss
    learner.send_signal(signal.SIGSTOP)
    try:
        told = flood(plan_of(service, headers, "standstill", seconds=6))
    finally:
        learner.send_signal(signal.SIGCONT)
    assert refused(told) < FEW
    assert replica.memory_info().rss < 1.5 * before, "what the learner does not take is dropped, the log has it"
    logged_once(service, "standstill", told)
