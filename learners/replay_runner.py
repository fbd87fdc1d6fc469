"""Replays side by side: one Ray task for each model, or all of them in this process."""

from collections.abc import Callable, Sequence
from typing import Any, Final

import ray
from ray.exceptions import RayTaskError
from threadpoolctl import threadpool_limits

from learners.replay import Replayed, Unit, replay
from storage.log_source import LogSource

POLL_S: Final = 0.25


def replay_all(
    source: LogSource, units: Sequence[Unit], workers: int, advance: Callable[[int], None]
) -> list[Replayed]:
    """Return the models that a log makes, in the order of `units`.

    Args:
        source: the log; Ray's workers open it themselves.
        units: what to rebuild.
        workers: how many at a time; one works in this process, more are tasks of the Ray that is initialised.
        advance: is told how many entries more have been read, by all together.

    Raises:
        LogError: the log cannot be read.
    """
    if workers == 1:
        with threadpool_limits(1):  # a matrix product must round as it does in a learner
            return [replay(source, unit, advance) for unit in units]
    counter: Any = ray.remote(_Counter).options(num_cpus=0).remote()
    task: Any = ray.remote(_task)
    told, shared = 0, ray.put(source)
    running = [task.remote(shared, unit, counter) for unit in units]
    left = running
    while left:
        _, left = ray.wait(left, num_returns=len(left), timeout=POLL_S)
        count = ray.get(counter.count.remote())
        advance(count - told)
        told = count
    try:
        results: list[Replayed] = ray.get(running)
    except RayTaskError as error:
        raise error.cause from None
    return results


class _Counter:
    """Counts for all tasks."""

    def __init__(self) -> None:
        self._count = 0

    def add(self, entries: int) -> None:
        self._count += entries

    def count(self) -> int:
        return self._count


def _task(source: LogSource, unit: Unit, counter: Any) -> Replayed:
    with threadpool_limits(1):
        return replay(source, unit, counter.add.remote)
