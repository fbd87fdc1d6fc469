"""Where the service is and who asks: from arguments, else from the environment."""

import os
import re
from collections.abc import Generator
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Final

import httpx

from serve.client.errors import Misconfigured

DEFAULT_URL: Final = "http://127.0.0.1:8000"
"""Where `rewardloop up` serves."""
PREFIX: Final = "/api/v1"
_VISIBLE: Final = re.compile(r"[\x21-\x7e]+")
"""What a header may hold of a key or tenant."""


class Bearer(httpx.Auth):
    """Puts the key on each request; nothing shows it."""

    def __init__(self, key: str) -> None:
        self._key = key

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Add the header."""
        request.headers["Authorization"] = f"Bearer {self._key}"
        yield request


@dataclass(frozen=True, slots=True)
class Access:
    """A service's address, a tenant, and a key that no repr shows."""

    url: str
    tenant: str
    key: str = field(repr=False)

    @classmethod
    def given(cls, url: str | None, tenant: str | None, key: str | None) -> "Access":
        """Return what the arguments say, else REWARDLOOP_URL, REWARDLOOP_TENANT and REWARDLOOP_KEY.

        Raises:
            Misconfigured: one is missing, or cannot be one.
        """
        address = url or os.environ.get("REWARDLOOP_URL") or DEFAULT_URL
        return cls(
            _address(address),
            _visible("tenant", tenant or os.environ.get("REWARDLOOP_TENANT")),
            _visible("key", key or os.environ.get("REWARDLOOP_KEY")),
        )

    @property
    def base_url(self) -> str:
        """Where paths of the API start."""
        return self.url + PREFIX

    @property
    def headers(self) -> dict[str, str]:
        """What every request carries, but for the key."""
        return {"X-Tenant-Id": self.tenant, "User-Agent": "rewardloop-client"}

    @property
    def trusts_environment(self) -> bool:
        """Whether the environment's proxy is used: none reaches this machine's own addresses."""
        return not is_loopback(httpx.URL(self.url).host)


def is_loopback(host: str) -> bool:
    """Return whether the host name or address is this machine's own."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _address(url: str) -> str:
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise Misconfigured(f"url is no address: {error}") from None
    if parsed.userinfo:
        raise Misconfigured("url must not hold a user or a password; give the key as key")
    if parsed.scheme not in {"http", "https"} or not parsed.host:
        raise Misconfigured(f"url {url!r} must start with http:// or https://")
    return url.rstrip("/")


def _visible(name: str, value: str | None) -> str:
    if not value:
        raise Misconfigured(f"{name} is required, as an argument or as REWARDLOOP_{name.upper()}")
    if not _VISIBLE.fullmatch(value):
        raise Misconfigured(f"{name} must consist of visible ASCII characters")
    return value
