"""Builds without one of the checks that the promises rest on: the torture's checker finds each of them out.

Each test has two sides, for a checker that finds fault with everything proves nothing: under the same load and the
same fault the build as it is has no violation.
"""

import asyncio
import itertools
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha1
from pathlib import Path

import psutil
import pytest

from learners.local import local_learners
from learners.shard import Shard, fold_log
from storage import checkpoints, history, keys, log
from storage.embedded import EmbeddedRedis
from storage.entry import unpack_entry
from storage.errors import StaleEpoch
from storage.scripts import script
from tests.disk import Disk, disk_in
from tests.faults.torture.checker import check
from tests.faults.torture.clients import Book, Client
from tests.faults.torture.evidence import logged
from tests.faults.torture.history import History, Logged, Violation
from tests.integration.conftest import Api

pytestmark = pytest.mark.anyio

ATTEMPTS = 400
CLIENTS = 3
SIDES = pytest.mark.parametrize("broken", [False, True], ids=["as it is", "broken"])


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    with disk_in(tmp_path, "96M") as made:
        if made is None:
            pytest.skip("a power cut needs the right to mount a disk")
        yield made


@pytest.fixture
def redis_server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[EmbeddedRedis]:
    """A Redis for each test: broken builds leave broken logs behind."""
    folder = request.getfixturevalue("disk").path if "disk" in request.fixturenames else tmp_path
    server = EmbeddedRedis(folder / "data")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def redis_replicas() -> int:
    """Of that Redis, whatever --redis says."""
    return 0


@pytest.fixture
def archive(tmp_path: Path) -> str:
    return str(tmp_path / "archive")


@pytest.fixture
async def book(api: Api) -> Book:
    limits = dict.fromkeys(("respond", "bulk", "recommend", "default"), 1_000_000)
    assert (await api.put("/settings", {"rateLimits": limits})).status_code == 200
    registers = [{"id": f"register-{i}", "name": f"register {i}"} for i in range(CLIENTS)]
    assert (await api.put("/catalog", {"offers": registers})).status_code == 200
    return Book()


async def load(api: Api, book: Book) -> None:
    """Have the torture's clients send some hundred requests."""

    async def send(method: str, path: str, body: bytes) -> tuple[int, bytes, dict[str, str]]:
        answer = await api.http.request(method, path, content=body, headers={"Content-Type": "application/json"})
        return answer.status_code, answer.content, dict(answer.headers)

    enough = len(book.attempts) + ATTEMPTS
    clients = [Client(i, len(book.attempts), [send, send], book) for i in range(CLIENTS)]
    working = [asyncio.create_task(client.run()) for client in clients]
    async with asyncio.timeout(60):
        while len(book.attempts) < enough:
            await asyncio.sleep(0.01)
        for client in clients:
            client.stopping = True
        await asyncio.gather(*working)


async def read_log(api: Api) -> tuple[list[Logged], Shard]:
    [head] = await log.heads(api.redis, [api.partition])
    runs = [one.entries async for one in history.follow(api.redis, None, api.partition, 0, head)]
    return [logged(entry) for run in runs for entry in run], fold_log(api.partition, runs)


async def verdict(api: Api, book: Book, live: bytes | None = None) -> set[str]:
    """Return the kinds of violations; with `live` it is held against a fold of the log."""
    entries, fold = await read_log(api)
    found = check(History(tuple(book.attempts), tuple(entries)))
    if live is not None and live != fold.state():
        found.append(Violation("replay", "", "a fold of the log is not what lives"))
    return {one.kind for one in found}


def without(monkeypatch: pytest.MonkeyPatch, name: str, line: str, instead: str = "") -> None:
    """Load a copy of a script in its place that has another line."""
    one = script(name)
    assert one.source.count(line) == 1
    source = one.source.replace(line, instead)
    monkeypatch.setattr(one, "source", source)
    monkeypatch.setattr(one, "sha", sha1(source.encode(), usedforsecurity=False).hexdigest())


async def caught_up(api: Api) -> bytes:
    """Return the live state once it stands at the log's end."""
    learner = api.learners.learner
    async with asyncio.timeout(20):
        while True:
            [head] = await log.heads(api.redis, [api.partition])
            if learner.shards[api.partition].position >= head:
                return learner.state(api.partition)
            await asyncio.sleep(0.02)


@SIDES
async def test_the_idempotency_check(api: Api, book: Book, monkeypatch: pytest.MonkeyPatch, broken: bool) -> None:
    if broken:
        without(monkeypatch, "commit", "local first = find_duplicate(idempotency)", "local first = false")
    await load(api, book)
    found = await verdict(api, book, await caught_up(api))
    assert found >= {"doubled", "answers differ", "recorded twice"} if broken else not found


@SIDES
async def test_the_fencing_check(
    api: Api,
    book: Book,
    monkeypatch: pytest.MonkeyPatch,
    redis_server: EmbeddedRedis,
    partitions: int,
    broken: bool,
) -> None:
    """A learner is cut off, another takes over and goes on; then what the first was about to write arrives."""
    if broken:
        without(monkeypatch, "checkpoint", "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end")
    await load(api, book)
    state = await caught_up(api)
    tenure = api.learners.learner._tenures[api.partition]
    async with local_learners(redis_server.url, partitions):
        await load(api, book)
    try:
        await checkpoints.write(api.redis, tenure, state)
    except StaleEpoch:
        assert not broken
    live = await api.redis.get(keys.checkpoint_key(api.partition))
    assert isinstance(live, bytes)
    found = await verdict(api, book, live)
    assert found == ({"replay"} if broken else set())


@SIDES
async def test_the_gap_check(api: Api, book: Book, monkeypatch: pytest.MonkeyPatch, broken: bool) -> None:
    """Every third push is lost on its way, as a push may be."""
    learner = api.learners.learner

    async def blind(batches: Mapping[int, Sequence[bytes]]) -> None:
        for partition, raw in batches.items():
            entries = [unpack_entry(one) for one in raw]
            learner.shards[partition].apply_left(entries, entries[-1].position)
        learner._news.set()
        learner._news = asyncio.Event()

    push, pushes = blind if broken else learner.push, itertools.count()

    async def lossy(batches: Mapping[int, Sequence[bytes]]) -> None:
        if next(pushes) % 3 < 2:
            await push(batches)

    monkeypatch.setattr(learner, "push", lossy)
    await load(api, book)
    found = await verdict(api, book, await caught_up(api))
    assert found == ({"replay"} if broken else set())


@SIDES
async def test_the_fsync(api: Api, book: Book, disk: Disk, redis_server: EmbeddedRedis, broken: bool) -> None:
    """The power is cut: what had not reached the disk is gone."""
    if broken:
        await api.redis.config_set("appendfsync", "no")
    await load(api, book)
    psutil.Process(redis_server.pid).suspend()
    image = disk.cut_power()
    psutil.Process(redis_server.pid).kill()
    redis_server._bury()
    disk.replace(image)
    redis_server.start()
    await api.redis.connection_pool.disconnect()
    found = await verdict(api, book)
    assert "lost" in found if broken else not found
