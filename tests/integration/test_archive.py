"""The archive under a live learner: moved and trimmed, nothing lost or twice, whatever is cut off in between."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager

import pytest
from redis.asyncio import Redis

from learners.learner import Learner
from learners.shard import Shard
from storage import checkpoints, config, history, log, tenants
from storage.archive import Archive
from storage.entry import Entry, ModelChange
from storage.errors import ArchiveError
from storage.keys import partition_of
from tests.conftest import RedisIn, RedisServer
from tests.integration.conftest import Api
from tests.integration.source import Source, pulls, until

pytestmark = pytest.mark.anyio

SEGMENT = 10


@pytest.fixture(scope="module")
def redis_server(redis_in: RedisIn, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A Redis of this module's own: it loses its logs to the archive, which other tests read from position 1."""
    with redis_in(tmp_path_factory.mktemp("trimmed")) as running:
        yield running


class FailingArchive(Archive):
    """An archive whose disk is full: before or after a tenant's file appears, at the calls that `fails` names."""

    def __init__(self, location: str, fails: Callable[[int], bool], *, after: bool) -> None:
        super().__init__(location)
        self._fails, self._after, self._calls = fails, after, 0

    def write(self, partition: int, entries: Sequence[Entry]) -> None:
        self._calls += 1
        failing = self._fails(self._calls)
        if not failing or self._after:
            super().write(partition, entries)
        if failing:
            raise ArchiveError("archive: [Errno 28] No space left on device")


@asynccontextmanager
async def archiving(server: RedisServer, partition: int, archive: Archive) -> AsyncIterator[Learner]:
    learner = Learner("learner-test", server.url, [partition], 0.05, archive, SEGMENT)
    task = asyncio.create_task(learner.run())
    try:
        await until(lambda: learner.status().lag_ms < 1000)
        yield learner
    finally:
        learner.stop()
        await task


async def archived(redis: Redis, partition: int, position: int) -> None:
    """Wait until the log is archived up to `position`, and trimmed to it but for one segment."""
    deadline = time.monotonic() + 20
    while await checkpoints.archived(redis, partition) < position:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


async def target(source: Source, start: int) -> tuple[int, int]:
    """Return the log's end, and how far it can be archived from `start` on."""
    [end] = await log.heads(source.redis, [source.partition])
    return end, start + (end - start) // SEGMENT * SEGMENT


async def everything(redis: Redis, archive: Archive, partition: int) -> list[int]:
    """Return the positions of the whole history, in the order it tells them."""
    [head] = await log.heads(redis, [partition])
    segments = [one async for one in history.follow(redis, archive, partition, 0, head)]
    return [entry.position for segment in segments for entry in segment.entries]


def in_files(archive: Archive, partition: int) -> list[int]:
    return sorted(p for file in archive.files(partition) for p in archive.raw_entries(file))


async def test_segments_move_and_the_history_stays_whole(
    redis_server: RedisServer,
    source: Source,
    archive: str,
) -> None:
    folder, partition = Archive(archive), source.partition
    start = await checkpoints.archived(source.redis, partition)
    async with archiving(redis_server, partition, folder):
        for _ in range(8):
            await source.commit(7)
        end, mark = await target(source, start)
        await archived(source.redis, partition, mark)
        assert in_files(folder, partition) == list(range(1, mark + 1))
        assert await everything(source.redis, folder, partition) == list(range(1, end + 1))
    left = await log.read(source.redis, partition, end - 1)
    assert [entry.position for entry in left] == [end]
    assert await source.redis.xlen(f"{{p{partition:02d}}}:log") < 2 * SEGMENT, "the archived part left Redis"


@pytest.mark.parametrize("after", [False, True], ids=["before it is written", "before it is marked"])
async def test_what_fails_is_told_and_done_again(
    redis_server: RedisServer,
    source: Source,
    archive: str,
    after: bool,
) -> None:
    partition = source.partition
    start = await checkpoints.archived(source.redis, partition)
    folder = FailingArchive(archive, lambda call: call in (1, 3), after=after)
    async with archiving(redis_server, partition, folder) as learner:
        await source.commit(45)
        await until(lambda: "No space left" in (learner.status().archive_error or ""))
        assert learner.status().lag_ms < 1000, "learning goes on"
        end, mark = await target(source, start)
        await archived(source.redis, partition, mark)
        await until(lambda: learner.status().archive_error is None)
        assert in_files(folder, partition) == list(range(1, mark + 1))
        assert await everything(source.redis, folder, partition) == list(range(1, end + 1))


async def test_a_new_learner_finishes_what_a_killed_one_began(
    redis_server: RedisServer,
    source: Source,
    archive: str,
) -> None:
    folder, partition = Archive(archive), source.partition
    start = await checkpoints.archived(source.redis, partition)
    await source.commit(25)
    entries = await log.read(source.redis, partition, start)
    end, mark = await target(source, start)
    folder.write(partition, entries[:7])  # by one with another segment size, killed before the mark
    async with archiving(redis_server, partition, folder):
        await archived(source.redis, partition, mark)
        assert await everything(source.redis, folder, partition) == list(range(1, end + 1))
    assert in_files(folder, partition) == list(range(1, mark + 1))


async def test_a_model_made_from_the_log_learns_from_the_archive_too(
    redis_server: RedisServer,
    source: Source,
    archive: str,
) -> None:
    folder, partition = Archive(archive), source.partition
    async with archiving(redis_server, partition, folder) as learner:
        start = await checkpoints.archived(source.redis, partition)
        await source.commit(35)
        await archived(source.redis, partition, (await target(source, start))[1])
        model = ModelChange(source.tenant, "m2", "late", "thompson_bandit", "shadow", "{}", warm=True)
        await source.change(model)
        await until(lambda: any(view.key == "late" for view in learner.models(partition, source.tenant)))
        late = learner.model_state(partition, source.tenant, "m2", "o1")
        first = learner.model_state(partition, source.tenant, tenants.DEFAULT_MODEL_ID, "o1")
        assert late is not None
        assert first is not None
        assert late["data"] == first["data"]


async def test_a_checkpoint_of_other_code_is_made_again_from_archive_and_log(
    redis_server: RedisServer,
    source: Source,
    archive: str,
) -> None:
    folder, partition = Archive(archive), source.partition
    async with archiving(redis_server, partition, folder) as learner:
        start = await checkpoints.archived(source.redis, partition)
        await source.commit(35)
        await archived(source.redis, partition, (await target(source, start))[1])
        state = learner.state(partition)
    await source.redis.set(f"{{p{partition:02d}}}:ckpt", b"\x94\x01\x00\x00\x80")
    async with archiving(redis_server, partition, folder) as learner:
        assert learner.state(partition) == state
        restored = Shard(partition)
        restored.restore(state)
        assert restored.position >= 35


async def test_what_is_kept_no_longer_does_not_stop_a_learner(
    redis_server: RedisServer, source: Source, archive: str, partitions: int
) -> None:
    folder, partition = Archive(archive), source.partition
    other = next(name for i in range(10_000) if partition_of(name := f"kept{i}", partitions) == partition)
    await tenants.create(source.redis, partitions, other, "Kept", 0)
    kept = Source(source.redis, other, partition, (await config.read(source.redis, partition, other)).version)
    start = await checkpoints.archived(source.redis, partition)
    async with archiving(redis_server, partition, folder):
        for _ in range(5):
            await source.commit(7)
            await kept.commit(2)
        await source.commit(2 * SEGMENT)  # a segment or more of the one tenant alone
        await archived(source.redis, partition, (await target(source, start))[1])
        left = in_files(folder, partition)
        assert folder.expire(source.tenant, "9999-01-01") > 0
        assert len(in_files(folder, partition)) < len(left)
    await source.redis.set(f"{{p{partition:02d}}}:ckpt", b"\x94\x01\x00\x00\x80")
    async with archiving(redis_server, partition, folder) as learner:
        [end] = await log.heads(source.redis, [partition])
        restored = Shard(partition)
        restored.restore(learner.state(partition))
        assert restored.position == end
        assert pulls(learner, kept) == 10, "the other tenant's outcomes are all there"
        await kept.commit(3)
        await kept.change(ModelChange(other, "m2", "late", "thompson_bandit", "shadow", "{}", warm=True))
        await until(lambda: any(view.key == "late" for view in learner.models(partition, other)))
        assert pulls(learner, kept) == pulls(learner, kept, "m2") == 13


class TestDuplicates:
    """A repeated request whose entry is only in the archive by now."""

    @pytest.fixture
    def segment_entries(self) -> int:
        return 4

    async def test_an_old_duplicate_is_answered_from_the_archive(self, api: Api) -> None:
        first = [await api.respond(f"k{i}") for i in range(9)]
        positions = [int(answer.headers["X-Log-Position"]) for answer in first]
        deadline = time.monotonic() + 20
        while await api.redis.xrange(f"{{p{api.partition:02d}}}:log", f"{positions[0]}-0", f"{positions[0]}-0"):
            assert time.monotonic() < deadline
            await asyncio.sleep(0.02)

        again = await api.respond("k0")

        assert again.status_code == 200
        assert again.json() == {**first[0].json(), "status": "already_recorded"}
        other = await api.respond("k0", customerId="someone else")
        assert (other.status_code, other.headers["Idempotency-Mismatch"]) == (200, "true")
        bulk = {"outcomes": [_item(f"k{i}") for i in range(9)]}
        rows = (await api.post("/respond/bulk", bulk)).json()
        assert (rows["duplicates"], rows["failed"]) == (9, 0)
        assert [row["interactionId"] for row in rows["results"]] == [one.json()["interactionId"] for one in first]


def _item(key: str) -> dict[str, str]:
    return {"customerId": "c1", "creativeId": "cr1", "outcome": "click", "idempotencyKey": key}
