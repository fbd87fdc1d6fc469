"""`rewardloop recount`: what commits have counted, made anew from the log."""

from pathlib import Path
from typing import Annotated

import typer

from serve import behavioral_metrics
from serve.cli.admin import DATA_DIR, REDIS_URL
from serve.cli.errors import CommandError
from serve.cli.progress import progress
from serve.cli.store import Store, with_store
from serve.cluster import archive_location
from serve.settings import load_settings
from storage import config, log
from storage.archive import Archive
from storage.keys import partition_of
from storage.recounting import Counting
from storage.recounting import recount as count_again


def recount(
    tenant: Annotated[str, typer.Option(metavar="ID", help="Whose counts they are.")],
    data_dir: Annotated[Path | None, DATA_DIR] = None,
    redis_url: Annotated[str | None, REDIS_URL] = None,
) -> None:
    """Count a tenant's summaries, roll-up, caps, metrics and experiments again, from all that archive and log hold.

    Requests go on meanwhile; the new counts take the place of the old ones in one step.
    """
    settings = load_settings(data_dir=data_dir, redis_url=redis_url)
    archive = Archive(archive_location(settings))

    async def count(store: Store) -> int:
        partition = partition_of(tenant, store.partitions)
        found = await config.read(store.redis, partition, tenant)
        kept = found.get("settings", "settings")
        if kept is None:
            raise CommandError(f"there is no tenant {tenant!r}")
        counting = Counting(tenant, behavioral_metrics.active(found), kept.doc["retentionDays"])
        [head] = await log.heads(store.redis, [partition])
        with progress("recount", lambda: head) as advance:
            return await count_again(store.redis, archive, partition, counting, lambda at: advance(at, at))

    position = with_store(settings, count)
    typer.echo(f"{tenant}: counted up to position {position:,}")
