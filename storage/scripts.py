"""The Lua scripts: loaded from `storage/lua`, called by hash, sent again when Redis has lost them."""

from collections.abc import Sequence
from contextlib import contextmanager
from functools import cache
from hashlib import sha1
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from redis.exceptions import NoScriptError, RedisError

from storage.errors import StorageUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from redis.asyncio import Redis

Arg: TypeAlias = str | bytes | int | float

INCLUDES: Final = {
    "commit": ("batch", "admit", "append", "summary", "caps", "rollup", "events", "experiments", "metrics"),
    "decide": ("batch", "admit", "append", "summary", "caps", "rollup", "events", "experiments"),
    "recount": ("batch", "summary", "caps", "rollup", "events", "experiments", "metrics"),
    "admission": ("batch", "admit"),
    "take_epoch": ("timeline",),
    "checkpoint": ("timeline",),
    "archive": ("timeline",),
    "config_read": ("timeline",),
}
"""Scripts that begin with the functions of other files (a Redis script cannot load one)."""


class Script:
    """One script of `storage/lua`, ready to be called."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.source = joined(*INCLUDES.get(name, ()), name)
        self.sha = sha1(self.source.encode(), usedforsecurity=False).hexdigest()

    async def run(self, redis: "Redis", keys: Sequence[str], args: Sequence[Arg]) -> Any:
        """Run the script in one round trip, two if Redis had lost it.

        Raises:
            StorageUnavailable: Redis did not answer or refused; whether the script ran is unknown.
        """
        with wrapped_errors():
            try:
                return await redis.evalsha(self.sha, len(keys), *keys, *args)
            except NoScriptError:  # it did not run: sending it again cannot run it twice
                return await redis.eval(self.source, len(keys), *keys, *args)


@contextmanager
def wrapped_errors() -> "Iterator[None]":
    """Turn what redis-py raises into storage's own error, once, at the port."""
    try:
        yield
    except (RedisError, OSError) as error:
        raise StorageUnavailable(f"Redis: {type(error).__name__}: {error}") from error


@cache
def script(name: str) -> Script:
    """Return the script `storage/lua/<name>.lua`."""
    return Script(name)


def joined(*names: str) -> str:
    """Return the files of `storage/lua` of these names as one text."""
    folder = files("storage") / "lua"
    return "\n".join((folder / f"{name}.lua").read_text(encoding="utf-8") for name in names)
