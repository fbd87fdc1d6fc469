"""How a command reaches the service of its own machine, where nobody names one."""

import httpx

from serve.cli.admin import new_key
from serve.cli.errors import CommandError
from serve.cli.store import with_store
from serve.client.access import is_loopback
from serve.cluster import service_url
from serve.running import Running
from serve.settings import Settings

KEY_LIFE_MS = 24 * 3_600_000
"""Long enough for any file, short enough to leave nothing lying about."""


def own_url(settings: Settings) -> str:
    """Return the address of the service that runs in the data directory, else where it would run."""
    info = Running(settings.data_dir).read()
    return info["url"] if info is not None else service_url(settings)


def own_key(settings: Settings, url: str, tenant: str) -> str:
    """Make a key for a tenant of this machine's own installation; it lives for a day.

    Raises:
        CommandError: the service is another machine's, or has no such tenant.
    """
    here = settings.redis_url is not None or (settings.data_dir / "redis").is_dir()
    if not here or not is_loopback(httpx.URL(url).host):
        raise CommandError(
            f"no API key: make one with `rewardloop keys create --tenant {tenant}`, "
            "then give it as --key or in REWARDLOOP_KEY"
        )
    return with_store(settings, lambda store: new_key(store, tenant, "ingest", ["respond"], KEY_LIFE_MS))
