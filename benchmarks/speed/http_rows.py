"""The service over HTTP, beside endpoints that do nothing."""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import httpx
import numpy as np

from benchmarks.speed import processes
from benchmarks.speed.load import Loaded, Target, paced, saturate
from benchmarks.speed.table import Row, Series, side_by_side
from tests.load import Connection
from tests.service import Service, environment_of, free_port, running, until

TENANT: Final = "bench"
OFFERS, FEATURES = 100, 32
BULK_ITEMS: Final = 1_000


def rows(*, quick: bool) -> Iterator[Row]:
    """Yield the rows of the service, each measured in turns with the endpoint beside it.

    Raises:
        AssertionError: an outcome was lost or counted twice.
    """
    seconds, repeat = (2.0, 2) if quick else (8.0, 5)
    with TemporaryDirectory(prefix="rl-bench-") as folder, running(Path(folder) / "ours") as ours:
        key = ours.tenant(TENANT)["Authorization"].removeprefix("Bearer ")
        bench = Bench(ours, key, seconds, repeat)
        with noop(Path(folder) / "same") as same:
            nothing = Target(same, "/noop", bench.respond.body)
            with noop(Path(folder) / "default", "--default") as default:
                yield from bench.respond_rows(nothing, Target(default, "/noop", bench.respond.body))
            yield bench.recommend_row(nothing)
        yield bench.bulk_row(5 if quick else 100)
        yield bench.visible_row(100 if quick else 2_000)
    yield start_row(1 if quick else 5)


@contextmanager
def noop(folder: Path, *options: str) -> Iterator[int]:
    """Run an endpoint that does nothing while the block lasts; yield its port."""
    port = free_port()
    environment = environment_of(folder, port)
    command = [sys.executable, "-m", "benchmarks.speed.noop", "--port", str(port), "--data-dir", str(folder)]
    process = subprocess.Popen(
        [*command, *options], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n", "the endpoint did not start"
        yield port
    finally:
        process.terminate()
        process.wait(30)


class Bench:
    """A service with a tenant, and what is measured of it."""

    def __init__(self, service: Service, key: str, seconds: float, repeat: int) -> None:
        self._service, self._key = service, key
        self._seconds, self._repeat = seconds, repeat
        self._headers = {"X-Tenant-Id": TENANT, "Authorization": f"Bearer {key}"}
        self.respond = self._target(
            "/api/v1/respond",
            {"customerId": "c%d", "creativeId": "cr1", "outcome": "click", "idempotencyKey": "k%d"},
        )

    def respond_rows(self, same: Target, default: Target) -> Iterator[Row]:
        """Yield throughput beside both endpoints, and latency at half of what saturates."""
        saturate(self.respond, 2), saturate(same, 2)  # warm
        spent: list[dict[str, float]] = []
        before, acknowledged = self._recorded(), 0

        def ours() -> float:
            nonlocal acknowledged
            cpu = processes.cpu_seconds(self._service.process.pid)
            loaded = saturate(self.respond, self._seconds)
            after = processes.cpu_seconds(self._service.process.pid)
            assert loaded.failed == 0, loaded
            acknowledged += loaded.answered
            spent.append({role: 1e6 * (after[role] - cpu[role]) / loaded.answered for role in after})
            return loaded.rate

        mine, noops, defaults = side_by_side(
            self._repeat, ours, lambda: _rate(same, self._seconds), lambda: _rate(default, self._seconds)
        )
        self._verify(before, acknowledged, runs=self._repeat)
        ratios = [a / b for a, b in zip(mine, noops, strict=True)]
        cpu = {
            f"{role}, µs of CPU a request": f"{statistics.median(one[role] for one in spent):.0f}"
            for role in spent[0]
        }
        yield Row(
            "respond",
            "POST /respond, 32 connections, distinct keys, verified afterwards",
            "requests/s",
            Series("Rewardloop", mine),
            [Series("FastAPI no-op, same ingress", noops)],
            "≥ 1.0 of the no-op",
            statistics.median(ratios),
            statistics.median(ratios) >= 1.0,
            {"outcomes": f"{acknowledged:,} acknowledged, each once in log and model", **cpu},
        )
        times = [a / b for a, b in zip(mine, defaults, strict=True)]
        yield Row(
            "respond-default",
            "the same",
            "requests/s",
            Series("Rewardloop", mine),
            [Series("FastAPI no-op, Ray Serve by default", defaults)],
            "≥ 10 times the no-op",
            statistics.median(times),
            statistics.median(times) >= 10,
        )
        yield self._latency_row(same, statistics.median(mine) / 2)

    def _latency_row(self, same: Target, rate: float) -> Row:
        p99 = [
            [float(np.percentile(took, 99)) for took in turns]
            for turns in zip(
                *[
                    (paced(self.respond, rate, self._seconds), paced(same, rate, self._seconds))
                    for _ in range(self._repeat)
                ],
                strict=True,
            )
        ]
        ratio = statistics.median(a / b for a, b in zip(*p99, strict=True))
        return Row(
            "respond-p99",
            f"p99 of POST /respond at half saturation ({rate:.0f}/s)",
            "ms",
            Series("Rewardloop", p99[0]),
            [Series("FastAPI no-op, same rate", p99[1])],
            "≤ 2 times the no-op's",
            ratio,
            ratio <= 2,
        )

    def recommend_row(self, same: Target) -> Row:
        """Return recommendations among 100 offers by 32 features, lin_ts, propensities logged."""
        self._teach()
        rng = np.random.default_rng(0)
        attributes = {f"x{n}": round(float(rng.normal()), 3) for n in range(FEATURES)}
        body = {"customerId": "c%d", "channel": "bench", "attributes": attributes}
        target = self._target("/api/v1/recommend", body)
        assert saturate(target, 2).failed == 0
        mine, noops = side_by_side(
            self._repeat, lambda: _rate(target, self._seconds), lambda: _rate(same, self._seconds)
        )
        ratio = statistics.median(a / b for a, b in zip(mine, noops, strict=True))
        return Row(
            "recommend",
            f"POST /recommend, {OFFERS} candidates, {FEATURES} features, lin_ts, 5 shown",
            "requests/s",
            Series("Rewardloop", mine),
            [Series("FastAPI no-op, same ingress", noops)],
            "≥ 0.5 of the no-op",
            ratio,
            ratio >= 0.5,
        )

    def bulk_row(self, requests: int) -> Row:
        """Return outcomes a second through the bulk route, until they are committed, fsynced and learned."""
        mine = [self._bulk(turn, requests) for turn in range(self._repeat)]
        rate = statistics.median(mine)
        return Row(
            "bulk",
            f"bulk ingest, {BULK_ITEMS} items a request, committed, fsynced and learned",
            "outcomes/s",
            Series("Rewardloop", mine),
            (),
            "≥ 25,000",
            rate,
            rate >= 25_000,
        )

    def visible_row(self, count: int) -> Row:
        """Return how long an acknowledged outcome takes to be in what /recommend decides by, under load."""
        took = asyncio.run(self._visible(count))
        p99 = float(np.percentile(took, 99))
        return Row(
            "visible",
            "outcome acknowledged → visible to /recommend, p99 under load",
            "ms",
            Series("Rewardloop", [p99]),
            (),
            "≤ 100 ms",
            p99,
            p99 <= 100,
            {"median": f"{np.median(took):.1f} ms", "outcomes": len(took)},
        )

    def _target(self, path: str, body: dict[str, Any]) -> Target:
        return Target(self._service.port, path, json.dumps(body), TENANT, self._key)

    def _recorded(self) -> int:
        """Return how many outcomes the model has learned, once it has learned all of the log."""
        until(self._service.ready, 60, "the learner has caught up")
        time.sleep(1.5)  # readyz allows a lag of a second
        return self._learned()

    def _learned(self) -> int:
        url = f"{self._service.url}/api/v1/algorithm-models/model_default"
        return int(httpx.get(url, headers=self._headers, timeout=30).json()["trainingSamples"])

    def _verify(self, before: int, acknowledged: int, runs: int) -> None:
        """Every acknowledged outcome is in the log once, and the model has learned each: none lost, none doubled.

        What was under way when a load ended was not acknowledged, and may be recorded: up to 32 a run.
        """
        learned = self._recorded() - before
        entries = asyncio.run(self._service.entries(TENANT))
        ids = [entry.body.interaction_id for entry in entries if hasattr(entry.body, "interaction_id")]
        assert len(ids) == len(set(ids)), "an outcome is in the log twice"
        assert acknowledged <= learned <= acknowledged + 32 * runs, (acknowledged, learned)
        assert len(ids) == self._recorded(), "log and model differ"

    def _teach(self) -> None:
        """Make 100 offers, and a lin_ts champion that has learned a little of each."""
        ids = range(OFFERS)
        catalog = {
            "channels": [{"id": "bench", "name": "bench", "channelType": "web"}],
            "offers": [{"id": f"b{n}", "name": f"b{n}"} for n in ids],
            "creatives": [
                {"id": f"bc{n}", "name": f"bc{n}", "offerId": f"b{n}", "channelId": "bench"} for n in ids
            ],
        }
        rng = np.random.default_rng(1)
        with httpx.Client(base_url=f"{self._service.url}/api/v1", headers=self._headers, timeout=60) as http:
            assert http.put("/catalog", json=catalog).status_code == 200
            model = {"id": "lin", "key": "lin", "modelType": "lin_ts", "status": "challenger"}
            assert http.post("/algorithm-models", json=model).status_code == 201
            assert http.post("/algorithm-models/lin/promote", json={"to": "champion"}).status_code == 200
            for turn in range(10):
                items = [
                    {
                        "customerId": f"c{n}",
                        "creativeId": f"bc{n % OFFERS}",
                        "outcome": "click" if rng.random() < 0.3 else "dismiss",
                        "attributes": {f"x{f}": float(rng.normal()) for f in range(FEATURES)},
                        "idempotencyKey": f"teach-{turn}-{n}",
                    }
                    for n in range(500)
                ]
                assert http.post("/respond/bulk", json={"outcomes": items}).status_code == 207

    def _bulk(self, turn: int, requests: int) -> float:
        bodies = [
            json.dumps(
                {
                    "outcomes": [
                        {
                            "customerId": f"c{n}",
                            "creativeId": "cr1",
                            "outcome": "click",
                            "idempotencyKey": f"bulk-{turn}-{request}-{n}",
                        }
                        for n in range(BULK_ITEMS)
                    ]
                }
            ).encode()
            for request in range(requests)
        ]
        before, started = self._recorded(), time.monotonic()
        asyncio.run(self._send(bodies))
        want = before + requests * BULK_ITEMS
        while self._learned() < want:
            time.sleep(0.02)
        return requests * BULK_ITEMS / (time.monotonic() - started)

    async def _send(self, bodies: list[bytes]) -> None:
        async def work() -> None:
            connection = Connection(self._service.port, self._headers)
            while bodies:
                status, _ = await connection.post("/api/v1/respond/bulk", bodies.pop())
                assert status == 207, status
            await connection.close()

        await asyncio.gather(*(work() for _ in range(4)))

    async def _visible(self, count: int) -> list[float]:
        """Return ms from each acknowledgement to the answer of a recommendation that has learned it."""
        took: list[float] = []
        stop = asyncio.Event()

        async def load(n: int) -> None:
            connection, sent = Connection(self._service.port, self._headers), 0
            while not stop.is_set():
                sent += 1
                body = self.respond.body.replace("%d", f"-load-{n}-{sent}")
                await connection.post(self.respond.path, body.encode())
                await asyncio.sleep(0.01)
            await connection.close()

        loads = [asyncio.create_task(load(n)) for n in range(8)]
        async with httpx.AsyncClient(base_url=self._service.url, headers=self._headers, timeout=30) as http:
            for n in range(count):
                body = json.loads(self.respond.body.replace("%d", f"-visible-{n}"))
                answer = await http.post("/api/v1/respond", json=body)
                position = answer.headers["X-Log-Position"]
                started, seen = time.perf_counter(), 0
                while seen < int(position):
                    asked = {"customerId": "v", "limit": 1}
                    wanted = {"X-Min-Log-Position": position}
                    answer = await http.post("/api/v1/recommend", json=asked, headers=wanted)
                    seen = int(answer.headers["X-Log-Position"])
                took.append(1000 * (time.perf_counter() - started))
        stop.set()
        await asyncio.gather(*loads)
        return took


def _rate(target: Target, seconds: float) -> float:
    loaded: Loaded = saturate(target, seconds)
    assert loaded.failed == 0, loaded
    return loaded.rate


def start_row(repeat: int) -> Row:
    """Return how long `rewardloop up` takes to `ready`."""
    started, stopped = [], []
    for _ in range(repeat):
        with TemporaryDirectory(prefix="rl-bench-") as folder:
            began = time.monotonic()
            with running(Path(folder)) as service:
                started.append(time.monotonic() - began)
                stopped.append(service.stop())
    value = statistics.median(started)
    return Row(
        "start",
        "`rewardloop up`, empty, to `ready` and /-/readyz",
        "s",
        Series("Rewardloop", started),
        (),
        "≤ 15 s; stop ≤ 10 s",
        value,
        value <= 15 and statistics.median(stopped) <= 10,
        {"stop": f"{statistics.median(stopped):.1f} s"},
    )
