"""`rewardloop data obd` and `rewardloop import`: other people's logs as public logs."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeAlias

import msgspec
import typer

from serve.cli.bookmark import data_dir
from serve.cli.errors import CommandError, OnError, skipping, warn
from serve.cli.obd_archive import ARCHIVE, campaign_csv, fetch, unpack
from serve.cli.progress import progress
from storage.importers.dsjson import read_dsjson
from storage.importers.obd import CAMPAIGNS, POLICIES, obd_catalog, read_obd
from storage.public_log import DecisionLine, Line, LogError, LogWriter, OutcomeLine, encode_line, read_log

Format: TypeAlias = Literal["obd", "dsjson"]

LOGS: Final = tuple((policy, campaign) for policy in POLICIES for campaign in CAMPAIGNS)


def _convert(csv: Path, log: Path) -> None:
    with LogWriter(log) as writer:
        for line in read_obd(csv):
            writer.write(line)


def _described(log: Path, *, converted: bool) -> dict[str, Any]:
    """Return what a log holds, counted by reading it back."""
    decisions = clicks = 0
    for line in read_log(log):
        decisions += isinstance(line, DecisionLine)
        clicks += isinstance(line, OutcomeLine) and line.classification == "positive"
    return {"file": str(log), "decisions": decisions, "clicks": clicks, "converted": converted}


def _convert_all(out: Path) -> list[dict[str, Any]]:
    logs = []
    rows = 0
    with progress("convert", lambda: len(LOGS)) as advance:
        for done, (policy, campaign) in enumerate(LOGS, start=1):
            log = out / f"{policy}-{campaign}.ndjson.gz"
            missing = not log.exists()
            if missing:
                _convert(campaign_csv(out, policy, campaign), log)
            logs.append(_described(log, converted=missing))
            rows += logs[-1]["decisions"]
            advance(done, rows)
    return logs


def _write_catalog(path: Path) -> None:
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    beside.write_bytes(msgspec.json.format(msgspec.json.encode(obd_catalog()), indent=1) + b"\n")
    beside.replace(path)


def data_obd(
    *,
    out: Annotated[
        Path | None,
        typer.Option(help="Directory to fill; by default data/obd in the data directory.", file_okay=False),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print what is there as JSON.")] = False,
) -> None:
    """Download the Open Bandit Dataset (small) and convert it to public logs and a catalogue.

    What is there already is left as it is. The dataset is 60,000 rows of a fashion shop's production log of
    2019; it comes inside the source archive of the package obp 0.5.7 (Apache-2.0), by way of pip.
    """
    out = out or data_dir() / "data" / "obd"
    try:
        out.mkdir(parents=True, exist_ok=True)
        fetched = fetch(out)
        unpack(out / ARCHIVE, out)
        logs = _convert_all(out)
        catalog = out / "catalog.json"
        _write_catalog(catalog)
    except (LogError, OSError) as error:
        raise CommandError(str(error)) from error
    if as_json:
        summary = {"dir": str(out), "downloaded": fetched, "catalog": str(catalog), "logs": logs}
        typer.echo(msgspec.json.encode(summary))
        return
    typer.echo(f"{out / ARCHIVE}: {'downloaded' if fetched else 'was there already'}")
    for log in logs:
        done = "converted" if log["converted"] else "was there already"
        typer.echo(f"{log['file']}: {done}, {log['decisions']:,} decisions, {log['clicks']:,} clicks")
    typer.echo(f"{catalog}: for rewardloop catalog load")


def _lines(file: Path, log_format: Format, on_error: OnError) -> Iterator[Line]:
    if log_format == "obd":
        return read_obd(file, skipping(on_error))
    return read_dsjson(file, skipping(on_error), on_note=warn)


def _to_stdout(lines: Iterator[Line]) -> None:
    for line in lines:
        sys.stdout.buffer.write(encode_line(line))
    sys.stdout.buffer.flush()


def _to_log(lines: Iterator[Line], log: Path) -> None:
    written = 0
    with LogWriter(log) as writer:
        for line in lines:
            writer.write(line)
            written += 1
    typer.echo(f"{log}: {written:,} lines")


def import_log(
    file: Annotated[Path, typer.Argument(help="The log to convert.", exists=True, dir_okay=False, readable=True)],
    log_format: Annotated[
        Format,
        typer.Option(
            "--format",
            help="obd: a CSV file of the Open Bandit Dataset; dsjson: Vowpal Wabbit's Decision-Service JSON.",
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            help="The log to write: .ndjson, .ndjson.gz, .ndjson.zst or .parquet; else NDJSON on stdout.",
            dir_okay=False,
        ),
    ] = None,
    on_error: Annotated[
        OnError, typer.Option(help="What a malformed line does: end the command, or be left out.")
    ] = "fail",
) -> None:
    """Convert another system's log to the public log format."""
    try:
        lines = _lines(file, log_format, on_error)
        if out is None:
            _to_stdout(lines)
        else:
            _to_log(lines, out)
    except BrokenPipeError:
        # The reader, `head` say, has enough. Python's own flush at exit must not fail on it again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(1) from None
    except (LogError, OSError) as error:
        raise CommandError(str(error)) from error
