"""`rewardloop tenants`, `keys` and `catalog`: what the operator does beside the running service."""

import json
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from serve import catalog
from serve.cli.errors import CommandError
from serve.cli.store import Store, with_store
from serve.configuring import refused
from serve.settings import load_settings
from storage import config, tenants
from storage.apikeys import Scope
from storage.clock import iso, now_ms
from storage.errors import ConfigConflict
from storage.keys import SYSTEM_TENANT, partition_of

DATA_DIR = typer.Option("--data-dir", help="Directory of the embedded Redis; default $REWARDLOOP_DATA_DIR.")
REDIS_URL = typer.Option("--redis-url", help="Redis of the installation, if not the embedded one.")
WRITE_RETRIES = 5


class ScopeName(StrEnum):
    """What a key may do."""

    respond = "respond"
    recommend = "recommend"
    read = "read"
    write = "write"
    admin = "admin"


def create_tenant(
    tenant: Annotated[str, typer.Argument(metavar="ID", help="Letters, digits, '_', '.' and '-'; at most 64.")],
    name: Annotated[str | None, typer.Option(help="What people call it.")] = None,
    data_dir: Annotated[Path | None, DATA_DIR] = None,
    redis_url: Annotated[str | None, REDIS_URL] = None,
) -> None:
    """Make a tenant with the system's outcome types and one champion model."""
    if tenants.TENANT_ID.fullmatch(tenant) is None:
        raise CommandError(f"ID must match {tenants.TENANT_ID.pattern}")
    with_store(load_settings(data_dir=data_dir, redis_url=redis_url), lambda store: _create(store, tenant, name))
    typer.echo(tenant)


def create_key(
    tenant: Annotated[str | None, typer.Option(metavar="ID", help="Whose key it is.")] = None,
    operator: Annotated[bool, typer.Option("--operator", help="A key for /tenants instead.")] = False,  # noqa: FBT002
    scope: Annotated[list[ScopeName] | None, typer.Option(help="May be repeated; default admin.")] = None,
    name: Annotated[str, typer.Option(help="What the key is for.")] = "cli",
    data_dir: Annotated[Path | None, DATA_DIR] = None,
    redis_url: Annotated[str | None, REDIS_URL] = None,
) -> None:
    """Make an API key and print it, this once; only an HMAC of it is kept."""
    if operator == (tenant is not None):
        raise CommandError("give either --tenant ID or --operator")
    scopes: list[Scope] = ["operator"] if operator else [one.value for one in scope or [ScopeName.admin]]
    owner = SYSTEM_TENANT if operator or tenant is None else tenant
    settings = load_settings(data_dir=data_dir, redis_url=redis_url)
    typer.echo(with_store(settings, lambda store: new_key(store, owner, name, scopes)))


def load_catalog(
    file: Annotated[Path, typer.Argument(help="JSON or YAML, in the form of PUT /api/v1/catalog.")],
    tenant: Annotated[str, typer.Option(metavar="ID", help="Whose catalogue it is.")],
    data_dir: Annotated[Path | None, DATA_DIR] = None,
    redis_url: Annotated[str | None, REDIS_URL] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the counts as JSON.")] = False,  # noqa: FBT002
) -> None:
    """Make a tenant's catalogue hold what FILE says, all or nothing; what it does not mention stays."""
    body = read_catalog(file)
    settings = load_settings(data_dir=data_dir, redis_url=redis_url)
    counts = with_store(settings, lambda store: load(store, tenant, body))
    typer.echo(json.dumps(counts) if as_json else ", ".join(f"{count} {name}" for name, count in counts.items()))


def read_catalog(file: Path) -> dict[str, Any]:
    """Return the catalogue in a JSON or YAML file.

    Raises:
        CommandError: it cannot be read, or is no catalogue.
    """
    try:
        text = file.read_text(encoding="utf-8")
        body = yaml.safe_load(text) if file.suffix in {".yaml", ".yml"} else json.loads(text)
    except OSError as error:
        raise CommandError(f"{file}: {error.strerror}") from error
    except (ValueError, yaml.YAMLError) as error:
        raise CommandError(f"{file}: {' '.join(str(error).split())}") from error
    if not isinstance(body, dict):
        raise CommandError(f"{file}: must hold an object with offers, creatives, channels …")
    return body


async def new_key(store: Store, tenant: str, name: str, scopes: Sequence[Scope], life_ms: int | None = None) -> str:
    """Make a key of an existing tenant (or of the operator) and return it as its holder presents it.

    Raises:
        CommandError: there is no such tenant.
    """
    if tenant != SYSTEM_TENANT and not await tenants.exists(store.redis, store.partitions, tenant):
        raise CommandError(f"there is no tenant {tenant!r}; `rewardloop tenants create {tenant}` makes it")
    time_ms = now_ms()
    expires_at = None if life_ms is None else iso(time_ms + life_ms)
    key, _ = await tenants.create_key(
        store.redis, store.partitions, tenant, name, scopes, store.pepper, time_ms, expires_at
    )
    return str(key)


async def load(store: Store, tenant: str, body: Mapping[str, Any]) -> dict[str, int]:
    """Make a tenant's catalogue hold what `body` says; return how many items it names and how many were new.

    Raises:
        CommandError: there is no such tenant.
        ApiError: an item breaks a rule; nothing was written.
    """
    partition = partition_of(tenant, store.partitions)
    for attempt in range(1, WRITE_RETRIES + 1):
        stored = await config.read(store.redis, partition, tenant)
        if stored.get("tenant", tenant) is None:
            raise CommandError(f"there is no tenant {tenant!r}; `rewardloop tenants create {tenant}` makes it")
        plan = catalog.plan(stored, body, now_ms())
        try:
            if plan.writes:
                await config.write(store.redis, partition, tenant, plan.writes)
        except ConfigConflict as conflict:
            if conflict.rule != "version" or attempt == WRITE_RETRIES:
                raise refused(conflict, plan.writes) from None
        else:
            break
    return plan.counts


async def _create(store: Store, tenant: str, name: str | None) -> None:
    try:
        await tenants.create(store.redis, store.partitions, tenant, name or tenant, now_ms())
    except ConfigConflict:
        raise CommandError(f"tenant {tenant!r} is there already") from None
