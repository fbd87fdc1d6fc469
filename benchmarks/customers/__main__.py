"""`python -m benchmarks.customers`: Redis's memory for each customer's summaries and latest events."""

from __future__ import annotations

import asyncio
import json
import os
import platform
import random
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

import typer

from storage import client, keys
from storage.embedded import EmbeddedRedis
from storage.entry import Entry, Outcome, Resolution
from storage.recounting import BATCH, Counting
from storage.scripts import script

if TYPE_CHECKING:
    from redis.asyncio import Redis

OUT = Path("benchmarks/results")
NOW_MS = 1_790_000_000_000
DAY_MS = 86_400_000
SPREAD_DAYS = 60
CASES = ((100_000, 1, 1), (100_000, 5, 3), (100_000, 20, 5), (1_000, 500, 20), (1_000, 2_000, 20))
"""Customers, events of each, creatives that these are spread over."""

app = typer.Typer(add_completion=False)


@app.command()
def main(out: Annotated[Path, typer.Option(help="Folder of the results.")] = OUT) -> None:
    """Count events of many customers by the scripts' own functions, into an empty Redis each time."""
    rows = [asyncio.run(_measured(*case)) for case in CASES]
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    results = {"machine": machine, "version": version("rewardloop"), "rows": rows}
    out.mkdir(parents=True, exist_ok=True)
    (out / "customers.json").write_text(json.dumps(results, indent=1) + "\n")
    (out / "customers.md").write_text(_page(results))


async def _measured(customers: int, events: int, creatives: int) -> dict[str, Any]:
    with TemporaryDirectory() as folder:
        server = EmbeddedRedis(Path(folder))
        server.start()
        try:
            async with client.writer(server.url) as redis:
                await redis.config_set("appendonly", "no")  # what is counted here is in no log
                before = await _memory(redis)
                await _count(redis, customers, events, creatives)
                used, stored = await _memory(redis) - before, await redis.dbsize()
        finally:
            server.stop()
    row = {"customers": customers, "events": events, "creatives": creatives}
    row |= {"bytesPerCustomer": round(used / customers), "keysPerCustomer": round(stored / customers, 1)}
    print(json.dumps(row), flush=True)
    return row


async def _memory(redis: Redis) -> int:
    return int((await redis.info("memory"))["used_memory"])


async def _count(redis: Redis, customers: int, events: int, creatives: int) -> None:
    counting, batch = Counting("shop", [], 400), []
    for entry in _entries(customers, events, creatives):
        batch.append(entry)
        if len(batch) == BATCH:
            await _send(redis, counting, batch)
            batch = []
    await _send(redis, counting, batch)


async def _send(redis: Redis, counting: Counting, entries: list[Entry]) -> None:
    args = [arg for entry in entries for arg in counting.args(entry)]
    if args:
        await script("recount").run(redis, [keys.log_key(0)], [keys.prefix(0), *args])


def _entries(customers: int, events: int, creatives: int) -> Iterator[Entry]:
    """Yield each customer's events over 60 days: impressions, clicks and purchases."""
    rng = random.Random(events)  # noqa: S311 - no secret
    position = 0
    for number in range(customers):
        for _ in range(events):
            position += 1
            kind = rng.choices(("impression", "click", "purchase"), (6, 3, 1))[0]
            one = rng.randrange(creatives)
            body = Outcome(
                tenant="shop",
                interaction_id="int",
                customer_id=f"customer-{number:08d}",
                outcome=kind,
                classification="neutral" if kind == "impression" else "positive",
                direction="outbound" if kind == "impression" else "inbound",
                delivery=kind == "impression",
                time_ms=NOW_MS - rng.randrange(SPREAD_DAYS * DAY_MS),
                value=49.5 if kind == "purchase" else None,
            )
            place = Resolution(
                f"offer-{one:04d}", f"creative-{one:04d}", "web", None, "cards", "Offer", "Creative", "Web", "Cards"
            )
            yield Entry(position, NOW_MS, body, place)


def _page(results: dict[str, Any]) -> str:
    lines = [
        "# Memory of customers",
        "",
        f"Redis's memory for summaries and latest events. {results['machine']}; rewardloop {results['version']}.",
        f"Ids of 10 to 17 characters, events over {SPREAD_DAYS} days. One run.",
        "",
        "| customers | events of each | creatives | keys a customer | bytes a customer | GiB for 1,000,000 |",
        "|---|---|---|---|---|---|",
    ]
    for row in results["rows"]:
        gib = row["bytesPerCustomer"] * 1e6 / 2**30
        lines.append(
            f"| {row['customers']:,} | {row['events']:,} | {row['creatives']} | {row['keysPerCustomer']} "
            f"| {row['bytesPerCustomer']:,} | {gib:.2f} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    app()
