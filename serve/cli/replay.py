"""`rewardloop replay`: models rebuilt from a log, and compared with those that live."""

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from learners.bandits import BanditFold
from learners.errors import LearnerError
from learners.replay import Replayed, Unit
from learners.shard import Shard
from learners.spec import ModelSpec, parse_spec
from serve.cli.admin import DATA_DIR, REDIS_URL
from serve.cli.errors import CommandError, OnError, skipping, warn
from serve.cli.export import entries
from serve.cli.progress import progress
from serve.cli.store import Store, with_store
from serve.cluster import archive_location, batch_ray
from serve.settings import Settings, load_settings
from storage import log
from storage.archive import Archive
from storage.entry import pack_entry
from storage.keys import checkpoint_key, partition_of
from storage.log_source import END, Found, LogSource, is_archive


class _Live(msgspec.Struct):
    """A tenant's live models: their digests by id, and the position they stand at."""

    position: int
    digests: dict[str, str]


def replay(
    path: Annotated[
        Path, typer.Argument(metavar="LOG", help="A log, a folder of them, or an archive.", exists=True)
    ],
    model: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SPEC", help="A model to try: lin_ts:explore=[0.1,0.3]. May be repeated; else the log's own."
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Directory for the models' beliefs.", file_okay=False)] = None,
    verify: Annotated[bool, typer.Option("--verify", help="Compare with the service's checkpoints.")] = False,  # noqa: FBT002
    workers: Annotated[int, typer.Option(help="Models at a time; default: as many as there are cores.", min=1)] = (
        os.cpu_count() or 1
    ),
    on_error: Annotated[OnError, typer.Option(help="What a bad line does: end all, or be left out.")] = "fail",
    data_dir: Annotated[Path | None, DATA_DIR] = None,
    redis_url: Annotated[str | None, REDIS_URL] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,  # noqa: FBT002
) -> None:
    """Fold a log into models, as the running service does, and print a digest of each one's state.

    With --verify, exit code 1 tells that a live model differs.
    """
    specs = _specs(model or [])
    if specs and verify:
        raise CommandError("--verify compares the log's own models; it goes without --model")
    settings = load_settings(data_dir=data_dir, redis_url=redis_url)
    source = LogSource(path, skip_bad=on_error == "skip")
    started = time.monotonic()
    with progress("scan", lambda: 0) as advance:
        found = source.scan(skipping(on_error), lambda count: advance(0, count))
    if not found:
        raise CommandError(f"{path}: holds no entries")
    live = _live(settings, source, found) if verify else {}
    units = _units(found, specs, live)
    results = _replayed(settings, source, units, min(workers, len(units)), found)
    report = _report(results, found, live, time.monotonic() - started)
    if out is not None:
        _write(out, results)
    if as_json:
        typer.echo(msgspec.json.encode(report))
    else:
        _print(report, verify=verify)
    if report.get("notInLog") or any(row.get("live") in ("differs", "missing") for row in report["models"]):
        raise typer.Exit(1)


def _specs(texts: Sequence[str]) -> list[ModelSpec]:
    try:
        specs = [spec for text in texts for spec in parse_spec(text)]
    except LearnerError as error:
        raise CommandError(f"--model {error}") from None
    if len({spec.text for spec in specs}) < len(specs):
        raise CommandError("--model: one SPEC is given twice")
    return specs


def _units(found: Mapping[str, Found], specs: Sequence[ModelSpec], live: Mapping[str, _Live]) -> list[Unit]:
    units = []
    for tenant, one in found.items():
        until = live[tenant].position if tenant in live else END
        if specs:
            units += [Unit(tenant, spec.text, spec) for spec in specs]
        else:
            units += [Unit(tenant, model_id, until=until) for model_id, made in one.models.items() if made <= until]
    if not units:
        raise CommandError("the log makes no models of its own; try some with --model SPEC")
    return units


def _live(settings: Settings, source: LogSource, found: dict[str, Found]) -> dict[str, _Live]:
    """Return the live models of the log's tenants; what an archive lacks is put behind it."""

    async def read(store: Store) -> dict[str, _Live]:
        live = {}
        for tenant, one in found.items():
            partition = partition_of(tenant, store.partitions)
            raw: Any = await store.redis.get(checkpoint_key(partition))
            shard = Shard(partition)
            if raw is not None:
                shard.restore(raw)
            live[tenant] = _Live(shard.position, _digests(shard.bandits, tenant))
            if is_archive(source.path):
                await _complete(store, Archive(archive_location(settings)), source, tenant, one)
        return live

    try:
        return with_store(settings, read)
    except LearnerError as error:
        raise CommandError(str(error)) from error


def _digests(bandits: BanditFold, tenant: str) -> dict[str, str]:
    return {view.id: bandits.digest(tenant, view.id) for view in bandits.models(tenant)}


async def _complete(store: Store, archive: Archive, source: LogSource, tenant: str, one: Found) -> None:
    partition = partition_of(tenant, store.partitions)
    [head] = await log.heads(store.redis, [partition])
    tail = source.tails.setdefault(tenant, [])
    async for entry in entries(store, archive, partition, tenant, head, after=one.last):
        one.add(entry)
        tail.append(pack_entry(entry))


def _replayed(
    settings: Settings, source: LogSource, units: Sequence[Unit], workers: int, found: Mapping[str, Found]
) -> list[Replayed]:
    total = sum(found[unit.tenant].entries for unit in units)
    done = 0
    with batch_ray(settings, workers):
        from learners.replay_runner import replay_all  # noqa: PLC0415 - imports Ray

        with progress("replay", lambda: total) as tell:

            def advance(count: int) -> None:
                nonlocal done
                done += count
                tell(done, done)

            try:
                return replay_all(source, units, workers, advance)
            except LookupError as error:
                raise CommandError(str(error.args[0])) from error


def _report(
    results: Sequence[Replayed], found: Mapping[str, Found], live: Mapping[str, _Live], seconds: float
) -> dict[str, Any]:
    read = sum(result.entries for result in results)
    replayed = {(result.unit.tenant, result.unit.model_id) for result in results}
    unknown = [one for tenant, there in live.items() for one in there.digests if (tenant, one) not in replayed]
    for model_id in unknown:
        warn(f"{model_id}: lives, but the log does not make it")
    return {
        **({"notInLog": unknown} if live else {}),
        "log": {
            "entries": sum(one.entries for one in found.values()),
            "decisions": sum(one.decisions for one in found.values()),
            "outcomesWithoutDecision": sum(one.unjoined for one in found.values()),
        },
        "models": [_row(result, found[result.unit.tenant], live.get(result.unit.tenant)) for result in results],
        "seconds": round(seconds, 3),
        "entriesPerSecond": round(read / seconds),
        "peakMemoryBytes": max(result.peak_memory_bytes for result in results),
    }


def _row(result: Replayed, found: Found, live: _Live | None) -> dict[str, Any]:
    view = result.view
    row: dict[str, Any] = {
        "tenant": result.unit.tenant,
        "modelId": view.id,
        "key": view.key,
        "modelType": view.model_type,
        "samples": view.training_samples,
        "position": view.position,
        "digest": result.digest,
        "metrics": view.metrics,
    }
    if live is not None:
        digest = live.digests.get(view.id)
        row["live"] = "missing" if digest is None else "identical" if digest == result.digest else "differs"
        if row["live"] == "differs" and found.last < live.position:
            warn(f"{view.key}: the log ends at position {found.last}, the checkpoint stands at {live.position}")
    return row


def _write(out: Path, results: Sequence[Replayed]) -> None:
    out.mkdir(parents=True, exist_ok=True)
    for number, result in enumerate(results, start=1):
        body = {
            "tenant": result.unit.tenant,
            "model": msgspec.to_builtins(result.view),
            "digest": result.digest,
            "arms": msgspec.Raw(result.arms.encode()),
        }
        text = msgspec.json.format(msgspec.json.encode(body), indent=1)
        (out / f"{number:03d}-{result.view.model_type}.json").write_bytes(text + b"\n")


def _print(report: Mapping[str, Any], *, verify: bool) -> None:
    table = Table("tenant", "model", "type", "samples", "position", "digest", *(["live"] if verify else []))
    for row in report["models"]:
        cells = [row["tenant"], row["key"], row["modelType"], f"{row['samples']:,}", str(row["position"])]
        table.add_row(*cells, row["digest"][:16], *([row["live"]] if verify else []))
    Console(width=None if os.isatty(1) else 160).print(table)
    log_ = report["log"]
    typer.echo(
        f"{log_['entries']:,} entries, {report['entriesPerSecond']:,} a second over all models, "
        f"peak memory {report['peakMemoryBytes'] / 2**20:,.0f} MiB"
    )
    if log_["outcomesWithoutDecision"]:
        typer.echo(f"{log_['outcomesWithoutDecision']:,} outcomes name a decision that does not stand before them")
