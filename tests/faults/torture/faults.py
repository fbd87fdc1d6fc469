"""The faults. Each is injected into the running service and healed again; recovery is waited for elsewhere."""

import os
import random
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from threading import Thread
from typing import Final

from redis.exceptions import RedisError

from storage import keys
from storage.scripts import script
from tests.aof import transaction
from tests.faults.torture.history import Violation
from tests.faults.torture.stand import Stand, hold, kill, paused
from tests.service import until

Fault = Callable[[Stand, random.Random], None]

EXEC: Final = b"*1\r\n$4\r\nEXEC\r\n"
PARTS: Final = {
    "replica": "ray::ServeReplica",
    "learner": "ray::LearnerActor",
    "controller": "ray::ServeController",
    "haproxy": "haproxy",
    "redis": "redis-server",
}


NOTICED_S: Final = {"redis": 0.0, "learner": 2.0}
"""After how many seconds without them the service is not ready: a learner may lag for one."""


def _killing(title: str) -> Fault:
    return lambda stand, rng: kill(stand.process(title, rng))


def _pausing(name: str, title: str) -> Fault:
    """Stop a process for longer than callers wait, or for a moment."""

    def pause(stand: Stand, rng: random.Random) -> None:
        with paused(stand.process(title, rng)), stand.gone(name, NOTICED_S.get(name, float("inf"))):
            hold(rng.choice((0.3, 2.0, 5.0)))

    return pause


def _kill_driver(stand: Stand, _: random.Random) -> None:
    """End `rewardloop up` by kill -9, start it again at once: two generations of learners are there for a while."""
    stand.service.process.kill()
    stand.service.process.wait(15)
    until(lambda: _starts(stand), 150, "the service starts again")


def _starts(stand: Stand) -> bool:
    """Start the service; return False where it ends, the port being taken by what its predecessor left."""
    stand.service.start_again()
    try:
        stand.service.await_start()
    except AssertionError:
        if stand.service.process.poll() is None:
            raise
        hold(0.5)
        return False
    return True


def _pause_driver(stand: Stand, rng: random.Random) -> None:
    with paused(stand.driver):
        hold(rng.choice((0.3, 2.0, 5.0)))


def _kill_replica_and_redis(stand: Stand, rng: random.Random) -> None:
    replica, redis = stand.process(PARTS["replica"], rng), stand.process(PARTS["redis"], rng)
    kill(redis)
    kill(replica)


def _kill_learner_while_redis_stands(stand: Stand, rng: random.Random) -> None:
    """A learner dies and its successor starts while Redis answers nobody: its epoch is taken late, or twice."""
    with paused(stand.process(PARTS["redis"], rng)), stand.gone("redis"):
        kill(stand.process(PARTS["learner"], rng))
        hold(5.0)


def _torn_tail(stand: Stand, rng: random.Random) -> None:
    """Redis dies while it writes: the last transaction of its AOF is there in part."""
    with paused(stand.driver):  # else it would start Redis before the tail is torn
        with stand.redis() as redis:
            head = int(redis.get(keys.sequence_key(stand.partition)) or 0)
        kill(stand.process(PARTS["redis"], rng))
        with stand.gone("redis"), stand.aof.open("r+b") as aof:
            aof.seek(-len(EXEC), os.SEEK_END)
            if aof.read() == EXEC:  # else it is torn already
                whole = transaction(*commands_from(stand.partition, head))
                aof.write(whole[: rng.randrange(1, len(whole))])


def commands_from(partition: int, head: int) -> list[tuple[str, ...]]:
    """Return what a commit that was told to nobody would have written: entries at positions that come next."""
    log = keys.log_key(partition)
    return [("XADD", log, f"{head + n}-0", "e", "never written") for n in range(1, 100)]


def _oom(stand: Stand, _: random.Random) -> None:
    with stand.redis() as redis:
        redis.config_set("maxmemory", "1")
        try:
            hold(1.5)
        finally:
            redis.config_set("maxmemory", "0")


def _busy(stand: Stand, _: random.Random) -> None:
    """A script that does not end: after 100 ms Redis answers -BUSY."""
    with stand.redis() as redis:
        redis.config_set("lua-time-limit", "100")

    def spin() -> None:
        with stand.redis(30) as own, suppress(RedisError):
            own.eval("while true do end", 0)

    spinning = Thread(target=spin)
    spinning.start()
    hold(1.5)
    with stand.redis() as redis:
        redis.script_kill()
        spinning.join()
        redis.config_set("lua-time-limit", "5000")


def _cut(stand: Stand, rng: random.Random) -> None:
    """Cut all connections, again and again: some in mid-command, some in mid-reply."""
    with stand.redis() as redis:
        for _ in range(20):
            redis.client_kill_filter(_type="normal", skipme=True)
            hold(rng.uniform(0.005, 0.1))


def _slow(stand: Stand, rng: random.Random) -> None:
    """Redis answers late, and now and then later than callers of it wait (3 s)."""
    with stand.redis() as redis:
        for seconds in rng.sample((0.05, 0.1, 0.2, 0.5, 1.0, 4.0), 4):
            redis.client_pause(int(1000 * seconds))
            hold(seconds + 0.05)


def _readonly(stand: Stand, _: random.Random) -> None:
    with stand.redis() as redis:
        redis.replicaof("127.0.0.1", 1)
        try:
            hold(1.5)
        finally:
            redis.replicaof("NO", "ONE")


def _misconf(stand: Stand, _: random.Random) -> None:
    """A snapshot cannot be written, as on a full disk, and Redis is told to refuse writes then."""
    blocked = stand.aof.parent / "blocked.rdb"
    blocked.mkdir(exist_ok=True)
    with stand.redis() as redis:
        redis.config_set("dbfilename", blocked.name)
        redis.config_set("save", "86400 1000000000")
        try:
            redis.bgsave()
            until(lambda: redis.info("persistence")["rdb_last_bgsave_status"] == "err", 30, "the snapshot failed")
            hold(1.5)
        finally:
            redis.config_set("save", "")
            redis.config_set("dbfilename", "dump.rdb")
            blocked.rmdir()


def _zombie(stand: Stand, _: random.Random) -> None:
    """The learners die, others take over; then a write of a dead one arrives: it must be refused."""
    epoch, state = stand.checkpoint()
    for learner in stand.processes(PARTS["learner"]):
        kill(learner)
    until(lambda: stand.checkpoint()[0] > epoch, 60, "another learner has taken over")
    names = [keys.epoch_key(stand.partition), keys.checkpoint_key(stand.partition)]
    with stand.redis() as redis:
        timeline = redis.info("replication")["master_replid"]
        if redis.eval(script("checkpoint").source, 2, *names, epoch, timeline, state) == 1:
            stand.found.append(Violation("zombie", "", f"epoch {epoch} is over, its checkpoint was written"))


def _step_clock(stand: Stand, rng: random.Random) -> None:
    """Redis's clock, which is the log's, steps forwards or back, and stays there until it steps again."""
    assert stand.clock is not None
    stand.clock.set(rng.choice((-600, -61, -1, 0, 1, 61, 600)))
    hold(1.0)


def _disk_full(stand: Stand, _: random.Random) -> None:
    """No byte is free for Redis's AOF, the archive and the service's own output."""
    assert stand.disk is not None
    with stand.disk.full():
        hold(3.0)


FAULTS: Final[Mapping[str, Fault]] = {
    **{f"kill {name}": _killing(title) for name, title in PARTS.items()},
    **{f"pause {name}": _pausing(name, title) for name, title in PARTS.items()},
    "kill driver": _kill_driver,
    "pause driver": _pause_driver,
    "kill replica and redis": _kill_replica_and_redis,
    "kill learner while redis stands": _kill_learner_while_redis_stands,
    "redis with a torn tail": _torn_tail,
    "redis out of memory": _oom,
    "redis busy": _busy,
    "redis connections cut": _cut,
    "redis slow": _slow,
    "redis read-only": _readonly,
    "redis cannot save": _misconf,
    "zombie learner": _zombie,
    "disk full": _disk_full,
    "clock stepped": _step_clock,
}


class Deck:
    """Faults in an order that a seed decides; each once before any comes again."""

    def __init__(self, seed: int, names: Iterable[str]) -> None:
        self._all = list(names)
        self.rng = random.Random(f"{seed}-faults")  # noqa: S311 - a choice that can be repeated
        self._left: list[str] = []

    def draw(self) -> str:
        """Return the next fault's name."""
        if not self._left:
            self._left = self.rng.sample(self._all, len(self._all))
        return self._left.pop()


def possible(stand: Stand) -> list[str]:
    """Return the faults that can be done here: not everybody may mount a disk, or has libfaketime."""
    lacking = {"disk full": stand.disk is None, "clock stepped": stand.clock is None}
    return [name for name in FAULTS if not lacking.get(name, False)]
