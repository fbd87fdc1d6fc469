"""Checkpoints of learners, under a fencing epoch.

A learner takes a partition by raising its epoch. From then on every write of an older learner, however late it
wakes up, finds another epoch and does nothing.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from storage import keys
from storage.errors import NewTimeline, StaleEpoch
from storage.scripts import Arg, script, wrapped_errors

if TYPE_CHECKING:
    from redis.asyncio import Redis


@dataclass(frozen=True, slots=True)
class Tenure:
    """A learner's right to write checkpoints of one partition, and the checkpoint it starts from.

    It holds on one timeline of Redis; see `storage.timeline`.
    """

    partition: int
    epoch: int
    checkpoint: bytes | None
    timeline: str


async def take(redis: "Redis", partition: int, own: Tenure | None = None) -> Tenure:
    """Become the partition's only learner; with a tenure of one's `own`, start from the checkpoint again.

    Raises:
        StaleEpoch: it was one's own, and another learner has taken the partition since.
        StorageUnavailable: Redis did not answer.
    """
    names = [keys.epoch_key(partition), keys.checkpoint_key(partition)]
    epoch, checkpoint, timeline = await script("take_epoch").run(redis, names, ["" if own is None else own.epoch])
    if not epoch:
        raise StaleEpoch(f"partition {partition}: epoch {own.epoch if own else 0} is over")
    return Tenure(partition, epoch, checkpoint, timeline.decode())


async def write(redis: "Redis", tenure: Tenure, state: bytes) -> None:
    """Replace the partition's checkpoint by `state`, which holds its own position.

    Raises:
        StaleEpoch: another learner has taken the partition; nothing was written.
        NewTimeline: the state may have been made from entries that are lost; nothing was written.
        StorageUnavailable: Redis did not answer.
    """
    names = [keys.epoch_key(tenure.partition), keys.checkpoint_key(tenure.partition)]
    _check(tenure, await script("checkpoint").run(redis, names, [tenure.epoch, tenure.timeline, state]))


async def archived(redis: "Redis", partition: int) -> int:
    """Return the last position of the partition that is in the archive, 0 where none is.

    Raises:
        StorageUnavailable: Redis did not answer.
    """
    with wrapped_errors():
        return int(await redis.get(keys.archived_key(partition)) or 0)


async def erasures(redis: "Redis", partition: int) -> int:
    """Return how often the partition's log was written anew.

    Raises:
        StorageUnavailable: Redis did not answer.
    """
    with wrapped_errors():
        return int(await redis.get(keys.erasures_key(partition)) or 0)


async def mark_archived(
    redis: "Redis", tenure: Tenure, position: int, checkpointed: int, erasures: int | None = None
) -> bool:
    """Say that the log is archived up to `position`, and trim what is both archived and checkpointed.

    Returns whether it was done: not if more `erasures` have been since (None: no matter), for what was archived may
    name who is erased by now.

    Raises:
        StaleEpoch: another learner has taken the partition; nothing was done.
        NewTimeline: what was archived may be lost in Redis, and its positions given to others; nothing was done.
        StorageUnavailable: Redis did not answer.
    """
    names = [
        keys.epoch_key(tenure.partition),
        keys.archived_key(tenure.partition),
        keys.log_key(tenure.partition),
        keys.erasures_key(tenure.partition),
    ]
    known = "" if erasures is None else erasures
    args: list[Arg] = [tenure.epoch, tenure.timeline, position, min(position, checkpointed), known]
    answer = await script("archive").run(redis, names, args)
    _check(tenure, answer)
    return bool(answer == 1)


def _check(tenure: Tenure, answer: int) -> None:
    if answer == 0:
        raise StaleEpoch(f"partition {tenure.partition}: epoch {tenure.epoch} is over")
    if answer == -1:
        raise NewTimeline(f"partition {tenure.partition}")
