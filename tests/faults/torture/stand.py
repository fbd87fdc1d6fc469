"""The running service as faults act on it: its processes, its Redis, its driver."""

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from storage import keys
from storage.rundir import run_dir
from tests.clock import Clock
from tests.disk import Disk
from tests.faults.torture.history import Away, Violation
from tests.service import Service, until

GONE_S = 15.0


@dataclass
class Stand:
    """A service that faults act on, and what they found to be wrong."""

    service: Service
    partition: int
    disk: Disk | None = None
    """That of the data directory, where it has one of its own."""
    clock: Clock | None = None
    """That of Redis, where it can be set."""
    away: list[Away] = field(default_factory=list)
    """When parts of the service did not work, for sure."""
    found: list[Violation] = field(default_factory=list)

    @property
    def driver(self) -> psutil.Process:
        return psutil.Process(self.service.process.pid)

    def process(self, title: str, rng: random.Random) -> psutil.Process:
        """Return one of the service's processes of that title."""
        return rng.choice(self.processes(title))

    def processes(self, title: str) -> list[psutil.Process]:
        """Return the service's processes of that title, waiting until there is one."""
        found: list[psutil.Process] = until(lambda: self._processes(title), 60, f"{title} is there")
        return found

    def _processes(self, title: str) -> list[psutil.Process]:
        if title == "redis-server":  # after its driver was killed it is nobody's child
            folder = self.service.data_dir.resolve() / "redis"
            return [one for one in psutil.process_iter(["name"]) if title in one.info["name"] and _in(one, folder)]
        return [one for one in self.service.processes(title) if _lives(one)]

    @contextmanager
    def redis(self, timeout_s: float = 5.0) -> Iterator["redis.Redis"]:
        """A client that a fault works with; it never repeats a command."""
        path = str(run_dir(self.service.data_dir) / "redis.sock")
        retry = Retry(NoBackoff(), 0)
        with redis.Redis(unix_socket_path=path, socket_timeout=timeout_s, retry=retry) as connected:
            yield connected

    @contextmanager
    def gone(self, part: str, from_s: float = 0.0) -> Iterator[None]:
        """Note that a part does not work from so many seconds on while the block lasts."""
        began_at = time.monotonic() + from_s
        try:
            yield
        finally:
            self.away.append(Away(part, began_at, time.monotonic()))

    def checkpoint(self) -> tuple[int, bytes]:
        """Return the epoch and the checkpoint of the tenant's partition."""
        with self.redis() as connected:
            epoch = connected.get(keys.epoch_key(self.partition))
            state = connected.get(keys.checkpoint_key(self.partition))
        assert isinstance(epoch, bytes)
        assert isinstance(state, bytes)
        return int(epoch), state

    @property
    def aof(self) -> Path:
        return self.service.data_dir / "redis" / "appendonly.aof"


def kill(process: psutil.Process) -> None:
    """End a process by kill -9; return when it is gone."""
    with suppress(psutil.NoSuchProcess):
        process.kill()
    until(lambda: not _lives(process), GONE_S, "it is gone")


@contextmanager
def paused(process: psutil.Process) -> Iterator[None]:
    """Stop a process while the block lasts."""
    process.suspend()
    try:
        yield
    finally:
        with suppress(psutil.NoSuchProcess):
            process.resume()


def hold(seconds: float) -> None:
    """Let a fault last."""
    time.sleep(seconds)


def _in(process: psutil.Process, folder: Path) -> bool:
    try:
        return Path(process.cwd()) == folder
    except psutil.Error:
        return False


def _lives(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
