"""A run: clients and faults side by side on one service, then the verdict."""

import asyncio
import os
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import httpx
import psutil
from redis.exceptions import RedisError

from storage.keys import partition_of
from tests.clock import clock_in
from tests.disk import disk_in
from tests.faults.torture import evidence
from tests.faults.torture.checker import RECORDS, check, honest, registers
from tests.faults.torture.clients import Book, Client, over_http
from tests.faults.torture.counts import compare, counted
from tests.faults.torture.faults import FAULTS, Deck, possible
from tests.faults.torture.history import Attempt, History, Injected, Logged, Violation
from tests.faults.torture.stand import Stand
from tests.service import Service, running

TENANT: Final = "tortured"
CLIENTS: Final = 8
CONNECTIONS: Final = 3
RECOVERY_S: Final = 120.0
BETWEEN_S: Final = 0.25
PROBE_S: Final = 0.1
SEGMENT: Final = 1_500
DISK: Final = "4G"
"""Of the data; a file with holes, so that it takes what is written."""


@dataclass
class Run:
    """What a run did, saw and found."""

    seed: int
    seconds: float
    book: Book = field(default_factory=Book)
    statuses: dict[str, int] = field(default_factory=dict)
    faults: list[Injected] = field(default_factory=list)
    log: list[Logged] = field(default_factory=list)
    probes: list[Attempt] = field(default_factory=list)
    late: int = 0
    """Entries that came into the log behind the last answer: of requests whose clients had given up."""
    violations: list[Violation] = field(default_factory=list)

    @property
    def kept(self) -> Path:
        """Where what shows a violation is kept."""
        return Path("build/torture") / str(self.seed)

    @property
    def history(self) -> History:
        return History(tuple(self.book.attempts), tuple(self.log))


def torture(folder: Path, seed: int, seconds: float) -> Run:
    """Torture a service of its own, whose data is in `folder`; return the run with its verdict."""
    clock = clock_in(folder)
    with disk_in(folder, DISK) as disk:
        run = Run(seed, seconds)
        data_dir = (folder if disk is None else disk.path) / "data"
        settings = {"REWARDLOOP_ARCHIVE_SEGMENT": str(SEGMENT), "REWARDLOOP_LEARNERS": "2"}
        faked = {} if clock is None else clock.environment(os.environ["PATH"])
        with running(data_dir, **settings, **faked) as service:
            _torture(run, Stand(service, partition_of(TENANT, evidence.PARTITIONS), disk, clock))
    return run


def _torture(run: Run, stand: Stand) -> None:
    service, headers = stand.service, stand.service.tenant(TENANT)
    with httpx.Client(base_url=f"{service.url}/api/v1", headers=headers, timeout=60) as http:
        _furnish(http)
        try:
            asyncio.run(_side_by_side(run, stand, headers))
        finally:
            _resume(stand)
        run.violations += stand.found
        run.violations += honest(run.probes, stand.away)
        if all(one.ready_at is not None for one in run.faults):
            asyncio.run(_judge(run, service, http))


def _furnish(http: httpx.Client) -> None:
    """Add a register for each client, caps that count and never bite, and a contextual model that learns along."""
    offers = [{"id": f"register-{i}", "name": f"register {i}", "businessValue": 0} for i in range(CLIENTS)]
    assert http.put("/catalog", json={"offers": offers}).is_success
    for offer in ("o1", "o2"):
        cap = {"name": offer, "scope": "offer", "scopeId": offer, "maxVolume": 10**9, "period": "monthly"}
        assert http.post("/frequency-caps", json=cap).status_code == 201
    model = {"key": "lin", "name": "lin", "modelType": "lin_ts", "config": {"halfLife": {"events": 500}}}
    made = http.post("/algorithm-models", json=model)
    assert made.status_code == 201, made.text
    assert http.post(f"/algorithm-models/{made.json()['id']}/promote", json={"to": "shadow"}).is_success


async def _side_by_side(run: Run, stand: Stand, headers: dict[str, str]) -> None:
    """Have clients ask while faults are injected, and then for what they were never told the fate of."""
    opened = [
        [over_http(stand.service.port, headers, run.statuses) for _ in range(CONNECTIONS)] for _ in range(CLIENTS)
    ]
    clients = [
        Client(number, run.seed, [send for _, send in several], run.book) for number, several in enumerate(opened)
    ]
    probing = asyncio.create_task(_probe(run, stand.service.port))
    working = [asyncio.create_task(client.run()) for client in clients]
    try:
        await asyncio.to_thread(_inject, run, stand)
    finally:
        for client in clients:
            client.stopping = True
        await asyncio.gather(*working)
        probing.cancel()
    await asyncio.gather(*(client.ask_again() for client in clients))
    for several in opened:
        for connection, _ in several:
            await connection.close()


async def _probe(run: Run, port: int) -> None:
    """Ask again and again whether the service is ready."""
    connection, send = over_http(port, {}, {})
    try:
        while True:
            sent_at, status = time.monotonic(), None
            with suppress(OSError, EOFError, TimeoutError, ValueError):
                status, _, _ = await send("GET", "/-/readyz", b"")
            run.probes.append(Attempt(-1, "ready", "", 0, "", sent_at, time.monotonic(), status))
            await asyncio.sleep(PROBE_S)
    finally:
        await connection.close()


def _inject(run: Run, stand: Stand) -> None:
    """Inject one fault after another until the time is over, or until the service does not come back."""
    deck, ends_at = Deck(run.seed, possible(stand)), time.monotonic() + run.seconds
    while time.monotonic() < ends_at:
        time.sleep(deck.rng.uniform(0, 2 * BETWEEN_S))
        name, began_at = deck.draw(), time.monotonic()
        try:
            FAULTS[name](stand, deck.rng)
        except (AssertionError, psutil.Error, RedisError) as error:  # the run goes on, and tells of it
            run.violations.append(Violation("fault", "", f"{name!r} could not be injected or healed: {error!r}"))
        healed_at = time.monotonic()
        ready_at = _ready(stand.service, healed_at + RECOVERY_S)
        run.faults.append(Injected(name, began_at, healed_at, ready_at))
        print(f"{began_at:.3f} s {name}: {healed_at - began_at:.1f} s", flush=True)  # noqa: T201 - progress
        if ready_at is None:
            run.violations.append(Violation("not ready", "", f"{RECOVERY_S:.0f} s after {name!r} was healed"))
            break
    if stand.clock is not None:
        stand.clock.set(0)


def _ready(service: Service, deadline: float) -> float | None:
    while time.monotonic() < deadline:
        if service.ready():
            return time.monotonic()
        time.sleep(0.1)
    return None


def _resume(stand: Stand) -> None:
    """Let everything go on that a fault which failed left stopped."""
    for one in [stand.driver, *stand.driver.children(recursive=True)]:
        if one.status() == psutil.STATUS_STOPPED:
            one.resume()


async def _judge(run: Run, service: Service, http: httpx.Client) -> None:
    run.late, unsettled = await evidence.settled(service, TENANT)
    run.violations += unsettled
    partition = partition_of(TENANT, evidence.PARTITIONS)
    live = await service.checkpointed(partition)
    runs = await evidence.read_log(service, TENANT)
    run.log = [evidence.logged(entry) for entries in runs for entry in entries]
    run.violations += check(run.history)
    run.violations += [Violation("internal error", "", one) for one in run.book.internal]
    run.violations += evidence.replayed(partition, runs, live, run.kept)
    names = [f"register-{number}" for number in range(CLIENTS)]
    run.violations += registers(run.history, evidence.read_registers(http, names))
    run.violations += evidence.audit_is_intact(http)
    told, plain = evidence.read_counts(http, run.log), counted(run.log, f"{datetime.now(UTC):%Y-%m-%d}")
    run.violations += compare(told, plain)


def report(run: Run) -> dict[str, Any]:
    """Return a run as JSON."""
    requests = Counter((one.kind, str(one.status or "unknown")) for one in run.book.attempts)
    recovery = [one.ready_at - one.healed_at for one in run.faults if one.ready_at is not None]
    return {
        "seed": run.seed,
        "seconds": run.seconds,
        "faults": dict(sorted(Counter(one.name for one in run.faults).items())),
        "faultsInjected": len(run.faults),
        "faultsLeftOut": sorted(set(FAULTS) - {one.name for one in run.faults}),
        "probesOfReadiness": dict(Counter(str(one.status or "unknown") for one in run.probes)),
        "slowestRecoveryS": round(max(recovery, default=0.0), 1),
        "answers": dict(sorted(run.statuses.items())),
        "attempts": {f"{kind} {status}": number for (kind, status), number in sorted(requests.items())},
        "operations": len(
            {one.number for one in run.book.attempts if one.kind in ("respond", "bulk", "recommend")}
        ),
        "acknowledged": len({one.number for one in run.book.attempts if one.acknowledged}),
        **_fates(run),
        "logEntries": len(run.log),
        "loggedBehindTheLastAnswer": run.late,
        "violationsByKind": dict(Counter(one.kind for one in run.violations)),
        "verdict": "promises held" if not run.violations else "PROMISES BROKEN",
    }


def _fates(run: Run) -> dict[str, int]:
    """Return what became of operations that at least one request did not tell the fate of."""
    logged = {entry.number for entry in run.log}
    unknown = {one.number for one in run.book.attempts if one.status is None and one.kind in RECORDS}
    acknowledged = {one.number for one in run.book.attempts if one.acknowledged}
    return {
        "unansweredThenAcknowledged": len(unknown & acknowledged),
        "neverAnsweredAndInTheLog": len((unknown - acknowledged) & logged),
        "neverAnsweredAndNotInTheLog": len(unknown - acknowledged - logged),
    }
