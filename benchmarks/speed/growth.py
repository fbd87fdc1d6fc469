"""What grows: the cost of an outcome with the log, the offers and the tenants, and with replicas and learners."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.speed import fold_rows, processes
from benchmarks.speed.load import Target, saturate
from benchmarks.speed.table import Row, Series
from learners.bandits import BanditFold
from learners.model import Rewards
from learners.models import make_model
from storage import client, tenants
from storage.entry import Entry, ModelChange
from tests.service import Service, running

if TYPE_CHECKING:
    from redis.asyncio import Redis

FLAT: Final = 1.2
"""A cost does not grow that stays below so many times what it is for the smallest."""
PARTITIONS: Final = 64
OFFERS: Final = (10, 100, 1_000, 10_000)
REPLICAS_LEARNERS: Final = ((1, 1), (2, 1), (4, 1), (1, 2), (1, 4))
BODY: Final = '{"customerId": "c%d", "creativeId": "cr1", "outcome": "click", "idempotencyKey": "k%d"}'


def rows(quick: bool) -> Iterator[Row]:  # noqa: FBT001 - all modules of rows have it
    """Yield the rows; `quick` leaves out those that start services."""
    with threadpool_limits(1):
        yield log_row("thompson_bandit", (10_000, 100_000) if quick else (10_000, 100_000, 1_000_000, 10_000_000))
        yield log_row("lin_ts", (10_000, 50_000) if quick else (10_000, 100_000, 1_000_000))
        yield offers_row("thompson_bandit")
        yield offers_row("lin_ts")
    if not quick:
        yield from scaling_rows()
        yield from tenant_rows(5_000)


def log_row(model: str, sizes: Sequence[int]) -> Row:
    """Return what the fold of an entry costs when so many were folded before."""
    log = fold_rows.entries(fold_rows.outcomes(10_240))
    fold = BanditFold()
    fold.apply([Entry(1, 0, ModelChange("t", "m", "k", model, "champion", "{}"))])
    costs, done, recent = {}, 0, [0.0] * 5
    for size in sizes:
        while done < size:
            started = time.process_time()
            for start in range(0, len(log), 1024):
                fold.apply(log[start : start + 1024])
            recent = [*recent[1:], 1e6 * (time.process_time() - started) / len(log)]
            done += len(log)
        costs[f"{size:,}"] = statistics.median(one for one in recent if one)
    return _flat(f"growth-log-{model}", f"fold an entry, {model}, by entries folded before", "µs", costs)


def offers_row(model: str) -> Row:
    """Return what learning an outcome costs a model that knows so many offers."""
    rng = np.random.default_rng(0)
    data = fold_rows.outcomes(20_480)
    costs = {}
    for count in OFFERS:
        runs = []
        for _ in range(3):
            learner = make_model(model, {})
            parts = fold_rows.batches(data, features=model == "lin_ts")
            parts = [_spread(part, count, rng) for part in parts]
            started = time.process_time()
            for part in parts:
                learner.predict(part)
                learner.update(part)
            runs.append(1e6 * (time.process_time() - started) / len(data.offers))
        costs[f"{count:,}"] = statistics.median(runs)
    return _flat(f"growth-offers-{model}", f"predict and learn an outcome, {model}, by offers", "µs", costs)


def _spread(part: Rewards, offers: int, rng: np.random.Generator) -> Rewards:
    names = [f"o{one}" for one in rng.integers(0, offers, len(part)).tolist()]
    return Rewards(names, part.categories, part.weights, part.values, part.times_ms, part.features)


def scaling_rows() -> Iterator[Row]:
    """Yield throughput and CPU time of a request with more replicas and learners."""
    rates, cpu = {}, {}
    for replicas, learners in REPLICAS_LEARNERS:
        with _service(REWARDLOOP_REPLICAS=str(replicas), REWARDLOOP_LEARNERS=str(learners)) as (service, target):
            saturate(target, 2)
            name = f"{replicas} replicas, {learners} learners"
            runs = [_measured(service, target) for _ in range(3)]
            rates[name], cpu[name] = (statistics.median(one) for one in zip(*runs, strict=True))
    notes = {name: f"{rate:,.0f} requests/s" for name, rate in rates.items()}
    yield _flat(
        "growth-replicas", "POST /respond, CPU of all processes, by replicas and learners", "µs", cpu, notes
    )


def _measured(service: Service, target: Target) -> tuple[float, float]:
    before = processes.cpu_seconds(service.process.pid).total()
    loaded = saturate(target, 4)
    spent = processes.cpu_seconds(service.process.pid).total() - before
    assert loaded.failed == 0, loaded
    return loaded.rate, 1e6 * spent / loaded.answered


def tenant_rows(count: int) -> Iterator[Row]:
    """Yield what idle tenants and live idempotency keys hold of memory, and what a request costs beside them."""
    with _service() as (service, target):
        saturate(target, 2)
        alone = statistics.median(_measured(service, target)[1] for _ in range(3))
        before = processes.memory_mib(service.process.pid)
        asyncio.run(_make_tenants(service, count))
        time.sleep(5)
        after = processes.memory_mib(service.process.pid)
        grown = {role: 1024 * (after[role] - before.get(role, 0.0)) / count for role in after}
        among = statistics.median(_measured(service, target)[1] for _ in range(3))
        key_bytes = asyncio.run(_idempotency_key_bytes(service))
    total = sum(grown.values())
    notes = {role: f"{kib:.1f} KiB" for role, kib in grown.items() if abs(kib) >= 0.1}
    yield Row(
        "tenant-memory",
        f"memory of an idle tenant, of {count:,}, all processes",
        "KiB",
        Series("Rewardloop", [total]),
        (),
        "≤ 64 KiB",
        total,
        total <= 64,
        notes,
    )
    costs = {"1 tenant": alone, f"{count:,} tenants": among}
    yield _flat("growth-tenants", "POST /respond, CPU of all processes, by tenants", "µs", costs)
    yield Row(
        "key-memory",
        "Redis's memory of a live idempotency key",
        "B",
        Series("Rewardloop", [key_bytes]),
        (),
        "≤ 200 B",
        key_bytes,
        key_bytes <= 200,
    )


async def _make_tenants(service: Service, count: int) -> None:
    """Make tenants as `rewardloop tenants create` does."""
    async with client.writer(service.redis_url) as redis:
        for n in range(count):
            await tenants.create(redis, PARTITIONS, f"idle-{n}", f"Idle {n}", 0)


async def _idempotency_key_bytes(service: Service) -> float:
    async with client.reader(service.redis_url) as redis:
        sizes = [await _memory(redis, key) async for key in redis.scan_iter("{p*}:i:*", count=1000)]
    return float(np.mean(sizes))


async def _memory(redis: Redis, key: bytes) -> int:
    return int(await redis.memory_usage(key) or 0)


@contextmanager
def _service(**variables: str) -> Iterator[tuple[Service, Target]]:
    with TemporaryDirectory(prefix="rl-bench-") as folder, running(Path(folder), **variables) as service:
        key = service.tenant("bench")["Authorization"].removeprefix("Bearer ")
        yield service, Target(service.port, "/api/v1/respond", BODY, "bench", key)


def _flat(key: str, what: str, unit: str, costs: dict[str, float], more: dict[str, str] | None = None) -> Row:
    """Return a row that is met where no cost is more than 20 % above the first, that of the smallest."""
    values = list(costs.values())
    notes = {name: f"{value:.3g} {unit}" for name, value in costs.items()}
    if more is not None:
        notes = {name: f"{said}, {more[name]}" for name, said in notes.items()}
    growth = max(values) / values[0]
    return Row(key, what, unit, Series("Rewardloop", values), (), "grows by ≤ 20 %", growth, growth <= FLAT, notes)
