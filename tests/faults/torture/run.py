"""One torture: callers and faults side by side for some minutes, then the check."""

import asyncio
import random
import time
from collections import Counter
from dataclasses import dataclass
from typing import Any, Final

import httpx

from learners.shard import Shard
from storage.entry import Outcome
from tests.faults.torture.callers import Caller
from tests.faults.torture.faults import FAULTS
from tests.faults.torture.history import Attempt, Violation, check, compare
from tests.service import Service, until

CALLERS: Final = 6
RECOVERY_S: Final = 120
TENANT: Final = "torture"


@dataclass(frozen=True, slots=True)
class Report:
    """What was done, and what came of it."""

    seed: int
    faults: dict[str, int]
    requests: dict[str, int]
    attempts: int
    acknowledged: int
    unanswered: int
    outcomes: int
    violations: tuple[Violation, ...]

    def __str__(self) -> str:
        lines = [f"seed {self.seed}: {sum(self.faults.values())} faults, {self.outcomes} outcomes in the log"]
        lines += [f"{self.attempts} tries, {self.acknowledged} acknowledged, {self.unanswered} without an answer"]
        lines += [f"  {count:5} {name}" for name, count in sorted({**self.faults, **self.requests}.items())]
        return "\n".join([*lines, *map(str, self.violations[:10]), f"{len(self.violations)} violations"])


async def torture(service: Service, seed: int, seconds: float) -> Report:
    """Do it, and return what was found."""
    rng = random.Random(seed)  # noqa: S311 - it draws faults
    headers = service.tenant(TENANT)
    seeds = [rng.random() for _ in range(CALLERS)]
    callers = [Caller(n, service.port, headers, random.Random(one)) for n, one in enumerate(seeds)]  # noqa: S311
    stop, done = asyncio.Event(), Counter[str]()
    running = [asyncio.create_task(caller.run(stop)) for caller in callers]
    ends = time.monotonic() + seconds
    names = list(FAULTS)
    while time.monotonic() < ends:
        await asyncio.sleep(rng.uniform(0.2, 2.0))
        if not names:
            names = list(FAULTS)
        name = names.pop(rng.randrange(len(names)))  # each comes before any comes again
        print(f"{time.monotonic():9.3f} s {name}", flush=True)  # noqa: T201 - progress
        await FAULTS[name](service, rng.uniform(0.5, 4.0))
        done[name] += 1
        await asyncio.to_thread(until, service.ready, RECOVERY_S, f"the service is ready again after {name!r}")
    stop.set()
    await asyncio.gather(*running)
    return await _judged(service, headers, seed, done, callers)


async def _judged(
    service: Service, headers: dict[str, str], seed: int, done: Counter[str], callers: list[Caller]
) -> Report:
    attempts: list[Attempt] = [attempt for caller in callers for attempt in caller.attempts]
    entries, shard, live = await service.fold(TENANT)
    positions = await service.positions(TENANT)
    found = [*check(attempts, entries, positions), *_counted(headers, service, entries, shard, live)]
    requests: Counter[str] = Counter()
    for caller in callers:
        requests.update(caller.statuses)
    acknowledged = {one.key for one in attempts if one.acknowledged}
    unanswered = sum(one.status is None for one in attempts)
    counts = (len(attempts), len(acknowledged), unanswered, len(entries))
    return Report(seed, dict(done), dict(requests), *counts, tuple(found))


def _counted(
    headers: dict[str, str], service: Service, entries: list[Any], shard: Shard, live: bytes
) -> list[Violation]:
    """Return where models and summaries differ from a plain count of the log."""
    found = compare(shard.state(), live)
    counted: Counter[tuple[str, str]] = Counter()
    for entry in entries:
        if isinstance(entry.body, Outcome):
            counted[entry.body.customer_id, entry.body.classification] += 1
    with httpx.Client(base_url=f"{service.url}/api/v1", headers=headers, timeout=30) as http:
        for customer in sorted({customer for customer, _ in counted}):
            answer = http.get("/interaction-summaries", params={"customerId": customer, "periodType": "alltime"})
            rows = answer.json()["data"]
            for kind in ("positive", "negative", "neutral"):
                told = sum(row[kind] for row in rows)
                if told != counted[customer, kind]:
                    about = f"{customer} {kind}: {told} in the summaries, {counted[customer, kind]} in the log"
                    found.append(Violation("summaries count each outcome once", about, ()))
    return found
