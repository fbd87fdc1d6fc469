"""`python -m benchmarks.speed`: the table of speeds."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable, Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.speed import fold_rows, growth, http_rows, log_rows
from benchmarks.speed.table import Row, page

OUT = Path("benchmarks/results")
PARTS: dict[str, Callable[[bool], Iterable[Row]]] = {
    "http": lambda quick: http_rows.rows(quick=quick),
    "models": fold_rows.rows,
    "logs": log_rows.rows,
    "growth": growth.rows,
}


def main(
    *,
    quick: Annotated[bool, typer.Option(help="Short runs, to see that all of it works; keeps nothing.")] = False,
    part: Annotated[list[str] | None, typer.Option(help=f"Only this part: {', '.join(PARTS)}.")] = None,
    out: Annotated[Path, typer.Option(help="Folder of the results.")] = OUT,
) -> None:
    """Measure how fast the service, its models and its logs are, side by side with others."""
    unknown = set(part or ()) - set(PARTS)
    if unknown:
        raise typer.BadParameter(f"there is no part {min(unknown)!r}", param_hint="--part")
    rows: list[Row] = []
    for name in part or PARTS:
        for row in PARTS[name](quick):
            rows.append(row)
            print(json.dumps(row.to_json(), ensure_ascii=False), flush=True)
    if quick:
        print(page("Speed", _preface(), rows))
    else:
        _keep(out, rows)
        print((out / "speed.md").read_text(encoding="utf-8"))


def _keep(out: Path, rows: list[Row]) -> None:
    """Write the results; rows of other parts stay as they were."""
    out.mkdir(parents=True, exist_ok=True)
    path = out / "speed.json"
    before = json.loads(path.read_text(encoding="utf-8"))["rows"] if path.exists() else []
    kept = {row["key"]: Row.from_json(row) for row in before} | {row.key: row for row in rows}
    document = {"preface": _preface(), "rows": [row.to_json() for row in kept.values()]}
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    (out / "speed.md").write_text(page("Speed", _preface(), list(kept.values())), encoding="utf-8")


def _preface() -> list[str]:
    names = ("rewardloop", "ray", "fastapi", "redis", "numpy")
    versions = ", ".join(f"{name} {version(name)}" for name in names)
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    return [
        "Made by `make bench`. Medians, with the least and the greatest run; sides of a row take turns in one run.",
        "Load, ingress, replicas, learners and Redis share the machine, so only ratios say something.",
        f"{machine}; {versions}.",
    ]


if __name__ == "__main__":
    typer.run(main)
