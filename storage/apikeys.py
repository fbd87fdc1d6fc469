"""API keys: `rl_<id>_<secret>`, of which only an HMAC of the secret is kept."""

import hmac
import re
import secrets
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

Scope: TypeAlias = Literal["respond", "recommend", "read", "write", "admin", "operator"]
TENANT_SCOPES: Final[tuple[Scope, ...]] = ("respond", "recommend", "read", "write", "admin")

_TOKEN: Final = re.compile(r"rl_([0-9a-f]{16})_([0-9a-f]{48})")


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as its holder presents it."""

    id: str
    secret: str

    def __str__(self) -> str:
        return f"rl_{self.id}_{self.secret}"

    def __repr__(self) -> str:
        return f"ApiKey(id={self.id!r})"  # a secret in a traceback is a secret in a log


def generate() -> ApiKey:
    """Return a new key: 64 bits of id, 192 bits of secret."""
    return ApiKey(secrets.token_hex(8), secrets.token_hex(24))


def parse(token: str) -> ApiKey | None:
    """Return the key that `token` writes, None if it is not of the form."""
    match = _TOKEN.fullmatch(token)
    return ApiKey(match[1], match[2]) if match else None


def seal(pepper: bytes, key: ApiKey) -> str:
    """Return what is stored of a key: HMAC-SHA-256 of its id and secret under the installation's pepper, in hex."""
    return hmac.digest(pepper, f"{key.id}:{key.secret}".encode(), "sha256").hex()


def matches(pepper: bytes, key: ApiKey, sealed: str) -> bool:
    """Return whether `sealed` was made of this key, in constant time."""
    return hmac.compare_digest(seal(pepper, key), sealed)
