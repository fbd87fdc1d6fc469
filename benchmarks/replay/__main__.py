"""`python -m benchmarks.replay`: how fast logs of growing length replay, and in how much memory."""

from __future__ import annotations

import json
import os
import platform
import random
import statistics
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer

from storage.clock import iso
from storage.public_log import DecisionLine, LogWriter, OutcomeLine, Shown

OUT = Path("benchmarks/results")
OFFERS = [f"offer-{i}" for i in range(20)]
FORMATS = ("parquet", "ndjson.zst")
MODELS = ("thompson_bandit", "lin_ts")
START_MS = 1_767_225_600_000

app = typer.Typer(add_completion=False)


@app.command()
def main(
    sizes: Annotated[str, typer.Option(help="Entries of each log, comma-separated.")] = "20000,200000,2000000",
    repeat: Annotated[int, typer.Option(min=1, help="Runs of each; the median counts.")] = 1,
    out: Annotated[Path, typer.Option(help="Folder of the results.")] = OUT,
) -> None:
    """Write logs of the public format, half decisions and half outcomes, and replay each with each model."""
    rows = []
    with TemporaryDirectory() as scratch:
        for size in (int(part) for part in sizes.split(",")):
            for log_format in FORMATS:
                log = Path(scratch) / f"log-{size}.{log_format}"
                write_log(log, size)
                for model in MODELS:
                    row = _median([_replayed(log, model) for _ in range(repeat)])
                    rows.append({"entries": size, "format": log_format, "model": model, "runs": repeat, **row})
                    print(json.dumps(rows[-1]), flush=True)
                log.unlink()
    names = ("rewardloop", "numpy", "pyarrow")
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    results = {"machine": machine, "versions": {name: version(name) for name in names}, "rows": rows}
    out.mkdir(parents=True, exist_ok=True)
    (out / "replay.json").write_text(json.dumps(results, indent=1) + "\n")
    (out / "replay.md").write_text(_page(results))


def write_log(log: Path, entries: int) -> None:
    """Write decisions, each among 20 offers and followed by its outcome; customers have three features."""
    rng = random.Random(entries)  # noqa: S311 - no secret
    tiers = ("gold", "silver", "none")
    with LogWriter(log) as writer:
        for n in range(entries // 2):
            features = {"age": rng.randint(18, 90), "tier": rng.choice(tiers), "x": rng.random()}
            offer = rng.choice(OFFERS)
            ids = {"customer_id": f"c{n % 10_000}", "recommendation_id": f"r{n}", "time": iso(START_MS + 10 * n)}
            shown = [Shown(1, offer, propensity=1 / len(OFFERS))]
            writer.write(DecisionLine(**ids, features=features, candidates=OFFERS, decisions=shown))
            won = rng.random() < 0.1
            kind = "positive" if won else "negative"
            outcome = {"offer_id": offer, "outcome": "click", "classification": kind, "weight": float(won)}
            writer.write(OutcomeLine(**ids, rank=1, **outcome))


def _replayed(log: Path, model: str) -> dict[str, Any]:
    command = [str(Path(sys.executable).with_name("rewardloop")), "replay", str(log), "--model", model]
    done = subprocess.run([*command, "--workers", "1", "--json"], capture_output=True, check=True)
    report = json.loads(done.stdout)
    return {
        "entriesPerSecond": report["entriesPerSecond"],
        "peakMemoryMiB": round(report["peakMemoryBytes"] / 2**20),
        "digest": report["models"][0]["digest"][:16],
    }


def _median(runs: list[dict[str, Any]]) -> dict[str, Any]:
    numbers = ("entriesPerSecond", "peakMemoryMiB")
    return {**runs[0], **{name: round(statistics.median(run[name] for run in runs)) for name in numbers}}


def _page(results: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in results["versions"].items())
    lines = [
        "# Replay of long logs",
        "",
        "Made by `python -m benchmarks.replay`: one model at a time in one process. The rate counts all entries,",
        "half of them decisions; the time is that of both readings of the log, the scan and the fold, and of about",
        "a second in which libraries are loaded. Equal digests mean that formats do not matter.",
        f"{results['machine']}; {versions}.",
        "",
        "| entries | format | model | entries/s | peak memory, MiB | digest |",
        "|---:|---|---|---:|---:|---|",
    ]
    lines += [
        f"| {row['entries']:,} | {row['format']} | {row['model']} | {row['entriesPerSecond']:,} "
        f"| {row['peakMemoryMiB']:,} | {row['digest']} |"
        for row in results["rows"]
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    app()
