"""`rewardloop ingest`: outcomes from a file through the bulk route of a running service."""

import asyncio
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Final, TypeAlias

import httpx
import msgspec
import typer

from serve.cli.access import own_key, own_url
from serve.cli.bookmark import Bookmark, bookmark, data_dir
from serve.cli.bulk import TIMEOUT_S, BulkClient, Patience
from serve.cli.errors import CommandError, OnError, skipping, warn
from serve.cli.items import Batch, Result, Tally, batches
from serve.cli.progress import Advance, progress
from serve.client.access import is_loopback
from serve.settings import load_settings
from storage.line_files import count_lines
from storage.public_log import LogError, read_rows

Send: TypeAlias = Callable[[Batch], Awaitable[Sequence[Result]]]
OnAnswer: TypeAlias = Callable[[Batch, Sequence[Result]], None]

PATIENCE: Final = Patience(asyncio.sleep, time.monotonic, random.random)


async def send_all(source: Iterable[Batch], send: Send, connections: int, on_answer: OnAnswer) -> None:
    """Send all batches, up to `connections` at a time; answers are told in the order of the batches.

    What was read before a bad line is sent before that line ends the work.
    """
    under_way: deque[tuple[Batch, asyncio.Future[Sequence[Result]]]] = deque()

    async def settle(left: int) -> None:
        while len(under_way) > left:
            batch, answer = under_way[0]
            results = await answer
            under_way.popleft()
            on_answer(batch, results)

    try:
        try:
            for batch in source:
                await settle(connections - 1)
                under_way.append((batch, asyncio.ensure_future(send(batch))))
                # Reading never waits: here the requests under way get their turn.
                await asyncio.sleep(0)
        except LogError:
            await settle(0)
            raise
        await settle(0)
    finally:
        for _, answer in under_way:
            answer.cancel()
        await asyncio.gather(*(answer for _, answer in under_way), return_exceptions=True)


class Run:
    """One run over a file: adds up the answers and moves the bookmark."""

    def __init__(self, mark: Bookmark, start: int) -> None:
        self.start = start
        self.tally = Tally(lines=start)
        self._mark = mark
        mark.write(start)

    def take(self, batch: Batch, results: Sequence[Result]) -> None:
        """Take the answers of the next batch."""
        self.tally = self.tally.plus(batch, results)
        if not self.tally.failed:
            # A failed line is to be sent again once its cause is mended, so the mark stays before it.
            self._mark.write(self.tally.lines)


def _http(url: str, tenant: str, key: str, connections: int) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        base_url=url,
        headers={"X-Tenant-Id": tenant, "Authorization": f"Bearer {key}"},
        timeout=TIMEOUT_S,
        limits=httpx.Limits(max_connections=connections),
        # A proxy of the environment cannot reach this machine's own addresses.
        trust_env=not is_loopback(httpx.URL(url).host),
    )


async def _run(
    run: Run, source: Iterable[Batch], http: httpx.AsyncClient, connections: int, advance: Advance
) -> None:
    def on_answer(batch: Batch, results: Sequence[Result]) -> None:
        run.take(batch, results)
        advance(run.tally.lines, run.tally.items)

    async with http:
        await send_all(source, BulkClient(http, PATIENCE, warn).send, connections, on_answer)


def _checked_url(url: str) -> str:
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise CommandError(f"--url {url}: {error}") from error
    if parsed.scheme not in {"http", "https"} or not parsed.host:
        raise CommandError(f"--url {url}: must start with http:// or https://")
    return url.rstrip("/")


@contextmanager
def _told(run: Run) -> Iterator[None]:
    """Add to what ends the run how far it came."""
    try:
        yield
    except LogError as error:
        raise CommandError(f"{error}; acknowledged are the lines up to {run.tally.lines}") from error
    except KeyboardInterrupt:
        warn(f"stopped; acknowledged are the lines up to {run.tally.lines}, --resume goes on from there")
        raise


def _summary(run: Run, seconds: float) -> dict[str, Any]:
    tally = run.tally
    return {
        "resumedAfterLine": run.start,
        "lines": tally.lines,
        "items": tally.items,
        "recorded": tally.recorded,
        "duplicates": tally.duplicates,
        "failed": tally.failed,
        "skippedDecisions": tally.decisions,
        "skippedBadLines": tally.bad,
        "seconds": round(seconds, 3),
        "failures": msgspec.to_builtins(tally.failures),
    }


def _report(tally: Tally, seconds: float) -> None:
    for failure in tally.failures:
        warn(f"line {failure.line}: {failure.status} {failure.reason}")
    if tally.failed > len(tally.failures):
        warn(f"… and {tally.failed - len(tally.failures):,} more")
    typer.echo(
        f"{tally.items:,} outcomes in {seconds:.1f} s: {tally.recorded:,} recorded, "
        f"{tally.duplicates:,} duplicates, {tally.failed:,} failed; "
        f"left out: {tally.decisions:,} decisions, {tally.bad:,} bad lines"
    )


def ingest(
    file: Annotated[
        Path,
        typer.Argument(
            help="Respond requests or a public log: .ndjson, .jsonl (also .gz, .zst) or .parquet.",
            exists=True,
            dir_okay=False,
            readable=True,
        ),
    ],
    *,
    tenant: Annotated[str, typer.Option(help="Tenant that the outcomes belong to.")],
    url: Annotated[
        str | None,
        typer.Option(
            help="Address of the service; default: what runs in the data directory.",
            envvar="REWARDLOOP_URL",
        ),
    ] = None,
    key: Annotated[
        str | None,
        typer.Option(
            help="API key with scope respond; default for a service of this machine: one made for a day.",
            envvar="REWARDLOOP_KEY",
        ),
    ] = None,
    batch_size: Annotated[int, typer.Option(help="Outcomes in a request.", min=1, max=1000)] = 500,
    connections: Annotated[
        int, typer.Option(help="Requests at a time; 1 keeps the file's order in the log.", min=1, max=64)
    ] = 4,
    on_error: Annotated[
        OnError, typer.Option(help="What a malformed line does: end the command, or be left out.")
    ] = "fail",
    resume: Annotated[
        bool, typer.Option("--resume", help="Start after the lines that an earlier run got acknowledged.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Send the outcomes of FILE to a running service.

    Running it again is harmless: every outcome carries its idempotency key, and counts once. Of a public log
    the outcomes are sent, the decisions are left out. Exits with 1 if the service did not take an outcome.
    """
    settings = load_settings()
    url = _checked_url(url or own_url(settings))
    key = key or own_key(settings, url, tenant)
    mark = bookmark(data_dir(), file, url, tenant)
    run = Run(mark, mark.read() if resume else 0)
    source = batches((row for row in read_rows(file) if row.number > run.start), batch_size, skipping(on_error))
    began_s = time.monotonic()
    with _told(run), progress(f"ingest {file.name}", lambda: count_lines(file)) as advance:
        asyncio.run(_run(run, source, _http(url, tenant, key, connections), connections, advance))
    seconds = time.monotonic() - began_s
    if as_json:
        typer.echo(msgspec.json.encode(_summary(run, seconds)))
    else:
        _report(run.tally, seconds)
    if run.tally.failed:
        raise typer.Exit(1)
