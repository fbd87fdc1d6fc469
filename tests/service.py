"""A running service for tests: the command `rewardloop up` in a process of its own, as users run it."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any

import httpx
import psutil

from learners.shard import Shard, fold_log
from storage import client, history, log
from storage.archive import Archive
from storage.entry import Entry, Outcome
from storage.keys import checkpoint_key, partition_of
from storage.rundir import run_dir
from tests.catalog import CATALOG

REWARDLOOP = str(Path(sys.executable).with_name("rewardloop"))
START_S, STOP_S = 180.0, 30.0


def free_port() -> int:
    """Return a port on which nobody listens, below those that the kernel gives away, and not the one of before.

    A service listens on it seconds later; meanwhile its Ray has asked the kernel for some twenty. Above it there is
    room for the one on which a node of a Redis Cluster talks to others, higher by 10,000.
    """
    while True:
        port = next(_ports)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def _ports_of_this_worker() -> Iterator[int]:
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    mine = range(12_000 + worker % 8 * 1000, 13_000 + worker % 8 * 1000)
    first = os.getpid() % len(mine)
    return cycle([*mine[first:], *mine[:first]])


_ports = _ports_of_this_worker()


def until(true: Callable[[], Any], deadline_s: float, what: str) -> Any:
    """Poll until `true` returns something true; fail after the deadline."""
    deadline = time.monotonic() + deadline_s
    while not (value := true()):
        assert time.monotonic() < deadline, f"not within {deadline_s} s: {what}"
        time.sleep(0.05)
    return value


@dataclass
class Service:
    """A service that runs, and what a test does to it."""

    process: subprocess.Popen[bytes]
    port: int
    data_dir: Path
    environment: dict[str, str]
    options: Sequence[str] = ()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def redis_url(self) -> str:
        return self.environment.get("REWARDLOOP_REDIS_URL", f"unix://{run_dir(self.data_dir) / 'redis.sock'}")

    def start_again(self) -> None:
        """Run `rewardloop up` again, whose process has ended, on the same data directory and port."""
        assert self.process.poll() is not None
        self.process = _up(self.data_dir, self.environment, self.options)

    def await_start(self) -> None:
        def started() -> bool:
            assert self.process.poll() is None, (self.data_dir / "err.txt").read_text()
            return f"ready {self.url}\n" in (self.data_dir / "out.txt").read_text()

        until(started, START_S, "the service is up")
        until(self.ready, 30, "the service is ready")

    def command(self, *args: str, code: int | None = 0, cwd: Path | None = None) -> str:
        """Run a `rewardloop` command against this service, which ends with `code`; return what it prints."""
        done = subprocess.run(
            [REWARDLOOP, *args],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=300,
            cwd=cwd,
            check=False,
        )
        assert code in (None, done.returncode), done.stderr
        return done.stderr if code else done.stdout

    def status(self) -> dict[str, Any]:
        """Return the report of `rewardloop status`, which ends with 1 while a learner lags on a busy machine."""
        report: dict[str, Any] = json.loads(self.command("status", "--json", code=None))
        return report

    def ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/-/readyz", timeout=5).status_code == 200
        except httpx.HTTPError:
            return False

    def tenant(self, tenant: str) -> dict[str, str]:
        """Make a tenant with the tests' catalogue and no limit worth the name; return its headers."""
        self.command("tenants", "create", tenant)
        key = self.command("keys", "create", "--tenant", tenant).strip()
        headers = {"X-Tenant-Id": tenant, "Authorization": f"Bearer {key}"}
        with httpx.Client(base_url=f"{self.url}/api/v1", headers=headers, timeout=30) as http:
            limits = dict.fromkeys(("respond", "bulk", "recommend", "default"), 1_000_000)
            assert http.put("/settings", json={"rateLimits": limits}).status_code == 200
            assert http.put("/catalog", json=CATALOG).status_code == 200
        return headers

    def state(self, headers: dict[str, str], model: str = "model_default") -> dict[str, Any]:
        """Return a model's arms by offer, with the position under `position`."""
        answer = httpx.get(f"{self.url}/api/v1/algorithm-models/{model}/state", headers=headers, timeout=30)
        assert answer.status_code == 200, answer.text
        body = answer.json()
        return {"position": body["position"], **{arm["offerId"]: arm for arm in body["data"]}}

    def processes(self, title: str) -> list[psutil.Process]:
        """Return this service's processes whose title starts with `title`, or whose program is called so."""
        found = []
        for child in psutil.Process(self.process.pid).children(recursive=True):
            try:
                if child.name() == title or "".join(child.cmdline()[:1]).startswith(title):
                    found.append(child)
            except psutil.Error:
                continue
        return found

    def kill(self, title: str) -> None:
        """End the one process of that title by kill -9."""
        [victim] = self.processes(title)
        victim.kill()
        until(lambda: not victim.is_running() or victim.status() == psutil.STATUS_ZOMBIE, 10, f"{title} is gone")

    async def entries(self, tenant: str, partitions: int = 64) -> list[Entry]:
        """Return a tenant's entries of the log."""
        partition = partition_of(tenant, partitions)
        async with client.reader(self.redis_url) as redis:
            batches = await self._history(redis, partition)
        return [entry for batch in batches for entry in batch if entry.body.tenant == tenant]

    async def fold(self, tenant: str, partitions: int = 64) -> tuple[list[Entry], Shard, bytes]:
        """Return a tenant's outcomes, its partition folded from position 1, and the live state of the partition.

        The live state is the learner's checkpoint, once that has come to the log's end.
        """
        partition = partition_of(tenant, partitions)
        async with client.reader(self.redis_url) as redis:
            batches = await self._history(redis, partition)
        shard = fold_log(partition, batches)
        entries = [entry for batch in batches for entry in batch]
        outcomes = [e for e in entries if isinstance(e.body, Outcome) and e.body.tenant == tenant]
        return outcomes, shard, await self.checkpointed(partition)

    async def _history(self, redis: Any, partition: int) -> list[Sequence[Entry]]:
        [head] = await log.heads(redis, [partition])
        archive = Archive(str(self.data_dir / "archive"))
        return [segment.entries async for segment in history.follow(redis, archive, partition, 0, head)]

    async def checkpointed(self, partition: int) -> bytes:
        """Wait until a partition's checkpoint has come to the log's end; return it."""
        deadline = time.monotonic() + 60
        async with client.reader(self.redis_url) as redis:
            [head] = await log.heads(redis, [partition])
            while (live := await self._checkpoint(redis, partition)) is None or live[0] < head:
                assert time.monotonic() < deadline, "the checkpoint never came to the log's end"
                await asyncio.sleep(0.05)
        return live[1]

    @staticmethod
    async def _checkpoint(redis: Any, partition: int) -> tuple[int, bytes] | None:
        raw = await redis.get(checkpoint_key(partition))
        if raw is None:
            return None
        restored = Shard(partition)
        restored.restore(raw)
        return restored.position, raw

    def stop(self, number: int = signal.SIGINT) -> float:
        """Stop the service; return how many seconds that took."""
        started = time.monotonic()
        self.process.send_signal(number)
        self.process.wait(STOP_S)
        return time.monotonic() - started


def environment_of(data_dir: Path, port: int, **variables: str) -> dict[str, str]:
    """Return the environment of a service of its own, and of commands that work on it."""
    environment = {
        **os.environ,
        "REWARDLOOP_DATA_DIR": str(data_dir),
        "REWARDLOOP_PORT": str(port),
        "REWARDLOOP_DASHBOARD_PORT": str(free_port()),
        "REWARDLOOP_CHECKPOINT_INTERVAL_S": "0.5",
        **variables,
    }
    for name in ("PYTHONDONTWRITEBYTECODE", "MAKEFLAGS", "MAKELEVEL"):  # under make, another make says more
        environment.pop(name, None)
    return environment


def _up(data_dir: Path, environment: dict[str, str], options: Sequence[str]) -> subprocess.Popen[bytes]:
    with (data_dir / "out.txt").open("wb") as out, (data_dir / "err.txt").open("wb") as err:
        return subprocess.Popen([REWARDLOOP, "up", *options], env=environment, stdout=out, stderr=err)


@contextmanager
def running(data_dir: Path, *options: str, **variables: str) -> Iterator[Service]:
    """Run `rewardloop up` while the block lasts; everything it started is gone afterwards."""
    port = free_port()
    environment = environment_of(data_dir, port, **variables)
    data_dir.mkdir(parents=True, exist_ok=True)
    service = Service(_up(data_dir, environment, options), port, data_dir, environment, options)
    try:
        service.await_start()
        yield service
    finally:
        if service.process.poll() is None:
            root = psutil.Process(service.process.pid)
            tree = [*root.children(recursive=True), root]
            try:
                service.stop()
            finally:  # one that hangs fails its test, but does not stay for the tests after it
                _, left = psutil.wait_procs(tree, timeout=10)
                for one in left:
                    one.kill()
