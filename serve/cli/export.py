"""`rewardloop export`: a tenant's log as a file that anybody can read."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import typer

from serve.cli.admin import DATA_DIR, REDIS_URL
from serve.cli.errors import CommandError
from serve.cli.progress import Advance, progress
from serve.cli.store import Store, with_store
from serve.cluster import archive_location
from serve.settings import load_settings
from storage import history, log, tenants
from storage.archive import Archive
from storage.entry import Entry
from storage.keys import partition_of
from storage.line_entries import line_of
from storage.public_log import LogWriter


def export(
    tenant: Annotated[str, typer.Option(metavar="ID", help="Whose log it is.")],
    out: Annotated[Path, typer.Option(help="Directory for the file, ID.parquet say.", file_okay=False)],
    log_format: Annotated[
        Literal["parquet", "ndjson", "ndjson.gz", "ndjson.zst"], typer.Option("--format", help="How to write it.")
    ] = "parquet",
    data_dir: Annotated[Path | None, DATA_DIR] = None,
    redis_url: Annotated[str | None, REDIS_URL] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,  # noqa: FBT002
) -> None:
    """Write a tenant's log, all that the archive and Redis hold, in the public format. Nothing is changed."""
    settings = load_settings(data_dir=data_dir, redis_url=redis_url)
    archive = Archive(archive_location(settings))
    path = out / f"{tenant}.{log_format}"

    async def write(store: Store) -> int:
        partition = partition_of(tenant, store.partitions)
        if not await tenants.exists(store.redis, store.partitions, tenant):
            raise CommandError(f"there is no tenant {tenant!r}")
        [head] = await log.heads(store.redis, [partition])
        with progress("export", lambda: head) as advance:
            return await _write(path, entries(store, archive, partition, tenant, head), advance)

    try:
        count = with_store(settings, write)
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}") from error
    if as_json:
        typer.echo(msgspec.json.encode({"file": str(path), "entries": count}))
    else:
        typer.echo(f"{path}: {count:,} entries")


async def entries(
    store: Store, archive: Archive, partition: int, tenant: str, head: int, after: int = 0
) -> AsyncIterator[Entry]:
    """Yield a tenant's entries behind position `after`, up to `head`."""
    async for segment in history.follow(store.redis, archive, partition, after, head, tenant):
        for entry in segment.entries:
            if entry.body.tenant == tenant and entry.position <= head:
                yield entry


async def _write(path: Path, source: AsyncIterator[Entry], advance: Advance) -> int:
    count = 0
    with LogWriter(path) as writer:
        async for entry in source:
            writer.write(line_of(entry))
            count += 1
            advance(entry.position, count)
    return count
