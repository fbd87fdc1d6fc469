"""Checkpoints of learners, under a fencing epoch.

A learner takes a partition by raising its epoch. From then on every write of an older learner, however late it
wakes up, finds another epoch and does nothing.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from storage import keys
from storage.errors import StaleEpoch
from storage.scripts import Arg, script, wrapped_errors

if TYPE_CHECKING:
    from redis.asyncio import Redis


@dataclass(frozen=True, slots=True)
class Tenure:
    """A learner's right to write checkpoints of one partition, and the checkpoint it starts from."""

    partition: int
    epoch: int
    checkpoint: bytes | None


async def take(redis: "Redis", partition: int) -> Tenure:
    """Become the partition's only learner.

    Raises:
        StorageUnavailable: Redis did not answer.
    """
    names = [keys.epoch_key(partition), keys.checkpoint_key(partition)]
    epoch, checkpoint = await script("take_epoch").run(redis, names, [])
    return Tenure(partition, epoch, checkpoint)


async def write(redis: "Redis", tenure: Tenure, state: bytes) -> None:
    """Replace the partition's checkpoint by `state`, which holds its own position.

    Raises:
        StaleEpoch: another learner has taken the partition; nothing was written.
        StorageUnavailable: Redis did not answer.
    """
    names = [keys.epoch_key(tenure.partition), keys.checkpoint_key(tenure.partition)]
    if not await script("checkpoint").run(redis, names, [tenure.epoch, state]):
        raise StaleEpoch(f"partition {tenure.partition}: epoch {tenure.epoch} is over")


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
        StorageUnavailable: Redis did not answer.
    """
    names = [
        keys.epoch_key(tenure.partition),
        keys.archived_key(tenure.partition),
        keys.log_key(tenure.partition),
        keys.erasures_key(tenure.partition),
    ]
    args: list[Arg] = [tenure.epoch, position, min(position, checkpointed), "" if erasures is None else erasures]
    answer = await script("archive").run(redis, names, args)
    if not answer:
        raise StaleEpoch(f"partition {tenure.partition}: epoch {tenure.epoch} is over")
    return bool(answer == 1)
