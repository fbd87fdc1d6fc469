"""Builds that are broken on purpose, one check at a time: the torture's checker finds what they break."""

import time
from collections.abc import Callable, Sequence
from hashlib import sha1
from typing import Any

import pytest
from redis.asyncio import Redis

from learners.errors import PositionGap
from learners.shard import Shard, fold_log
from storage import checkpoints, keys, log
from storage.entry import Entry, Outcome, unpack_entry
from storage.errors import StaleEpoch
from storage.scripts import script
from tests.faults.torture.history import Attempt, check, compare
from tests.integration.conftest import Api
from tests.integration.source import Source

pytestmark = pytest.mark.anyio

Break = Callable[[str, str, str], None]


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> Break:
    """Return a function that runs a script with one piece of it replaced, until the test ends."""

    def replace(name: str, sound: str, careless: str) -> None:
        whole = script(name)
        assert whole.source.count(sound) == 1
        altered = whole.source.replace(sound, careless)
        monkeypatch.setattr(whole, "source", altered)
        monkeypatch.setattr(whole, "sha", sha1(altered.encode(), usedforsecurity=False).hexdigest())

    return replace


async def sent(api: Api, key: str) -> Attempt:
    began = time.monotonic()
    answer = await api.respond(key, interactionId=key)
    told = answer.json().get("interactionId")
    return Attempt(0, key, "c1", began, time.monotonic(), answer.status_code, told)


async def history(redis: Redis, partition: int) -> list[Entry]:
    return list(await log.read(redis, partition, 0, count=1_000_000))


async def promises(api: Api, attempts: Sequence[Attempt]) -> set[str]:
    entries = await history(api.redis, api.partition)
    own = [e for e in entries if isinstance(e.body, Outcome) and e.body.tenant == api.tenant]
    return {found.promise for found in check(attempts, own, [entry.position for entry in entries])}


async def test_without_the_idempotency_check(api: Api, broken: Break) -> None:
    assert await promises(api, [await sent(api, "sound"), await sent(api, "sound")]) == set()
    broken("commit", "local first = find_duplicate(idempotency)", "local first = false")
    attempts = [await sent(api, "sound"), await sent(api, "careless"), await sent(api, "careless")]
    assert await promises(api, attempts) >= {
        "an outcome is in the log once",
        "a repetition is answered with the first values",
    }


@pytest.mark.parametrize("sound", [True, False])
async def test_without_the_fence(redis: Redis, source: Source, broken: Break, *, sound: bool) -> None:
    zombie = await checkpoints.take(redis, source.partition)
    entries = [unpack_entry(one) for one in await source.commit(3)]
    old, new = Shard(source.partition), Shard(source.partition)
    everything = await history(redis, source.partition)
    old.apply(everything[:-1])
    new.apply(everything)
    await checkpoints.write(redis, await checkpoints.take(redis, source.partition), new.state())
    if sound:
        with pytest.raises(StaleEpoch):
            await checkpoints.write(redis, zombie, old.state())
    else:
        broken("checkpoint", "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end", "")
        await checkpoints.write(redis, zombie, old.state())
    live: Any = await redis.get(keys.checkpoint_key(source.partition))
    fresh = fold_log(source.partition, [everything]).state()
    assert bool(compare(fresh, live)) is not sound
    assert entries[-1] == everything[-1]


def careless(self: Shard, entries: Sequence[Entry]) -> int:
    """Apply whatever comes, whether or not something is missing before it."""
    fresh = [entry for entry in entries if entry.position > self.position]
    self._fold(fresh)
    self.position = entries[-1].position
    return len(fresh)


@pytest.mark.parametrize("sound", [True, False])
async def test_without_the_gap_check(
    redis: Redis, source: Source, monkeypatch: pytest.MonkeyPatch, *, sound: bool
) -> None:
    await source.commit(3)
    everything = await history(redis, source.partition)
    fresh = fold_log(source.partition, [everything]).state()
    if not sound:
        monkeypatch.setattr(Shard, "apply", careless)
    shard: Any = Shard(source.partition)
    shard.apply(everything[:-2])
    try:
        shard.apply(everything[-1:])  # a push that overtook another
    except PositionGap:  # a learner reads the log then
        shard.apply(everything)
    assert bool(compare(fresh, shard.state())) is not sound
