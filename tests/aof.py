"""What Redis writes into its append-only file, for tests that tear it."""

from collections.abc import Callable

from redis.connection import Connection


def transaction(*commands: tuple[str, ...]) -> bytes:
    """Return commands as Redis writes those of a script."""
    pack: Callable[..., list[bytes]] = Connection().pack_command  # type: ignore[no-untyped-call]
    return b"".join(part for command in (("MULTI",), *commands, ("EXEC",)) for part in pack(*command))
