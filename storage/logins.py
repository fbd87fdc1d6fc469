"""One-time logins: a code that opens a door once, within some minutes. The store knows only its hash."""

import secrets
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from storage import keys
from storage.scripts import wrapped_errors

if TYPE_CHECKING:
    from redis.asyncio import Redis

LIFE_S: Final = 15 * 60
"""Long enough to find the terminal again, short enough for a link that lies around in its history."""


async def issue(redis: "Redis") -> str:
    """Return a new code that `redeem` takes once within LIFE_S.

    Raises:
        StorageUnavailable: Redis did not answer.
    """
    code = secrets.token_urlsafe(32)
    with wrapped_errors():
        await redis.set(keys.login_key(_digest(code)), b"1", ex=LIFE_S)
    return code


async def redeem(redis: "Redis", code: str) -> bool:
    """Use up a code; return whether it was good. Of several who bring it at once, one is let in.

    Raises:
        StorageUnavailable: Redis did not answer.
    """
    with wrapped_errors():
        return await redis.getdel(keys.login_key(_digest(code))) is not None


def _digest(code: str) -> str:
    return sha256(code.encode()).hexdigest()
