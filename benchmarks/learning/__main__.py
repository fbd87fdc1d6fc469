"""`python -m benchmarks.learning`: the table of cumulative reward, ours beside others'."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks.learning import peers, report, results
from benchmarks.learning.campaign import Plan, Result, play_library
from benchmarks.learning.environment import ROUNDS
from benchmarks.learning.player import PlayerDied
from benchmarks.learning.registry import LIBRARIES, Library

OUT = Path("benchmarks/results")
QUICK_ROUNDS = 1_000
app = typer.Typer(add_completion=False)


@app.command()
def main(
    peer: Annotated[list[str] | None, typer.Option(help="Only this library; may be repeated.")] = None,
    seeds: Annotated[str, typer.Option(help="Environments of the table, comma-separated.")] = "0,1,2,3,4",
    rounds: Annotated[int, typer.Option(min=2, help="Customers in each environment.")] = ROUNDS,
    workers: Annotated[int, typer.Option(min=1, help="Processes at a time.")] = 2,
    venvs: Annotated[Path, typer.Option(help="Where `peers install` put the environments.")] = peers.DEFAULT,
    out: Annotated[Path | None, typer.Option(help=f"Folder of the results; {OUT} unless --quick.")] = None,
    *,
    quick: Annotated[bool, typer.Option("--quick", help="One seed, few rounds, no tuning; keeps nothing.")] = False,
) -> None:
    """Plays every library at its best setting and writes learning.json and learning.md.

    Libraries that are named with --peer are played anew and merged into the results there are.
    """
    chosen = _chosen(peer)
    numbers = (0,) if quick else _numbers(seeds)
    plan = Plan(numbers, QUICK_ROUNDS if quick else rounds, tune=not quick, workers=workers)
    folder = out or (None if quick else OUT)
    try:
        table = results.load(folder, plan) if folder else results.empty(plan)
    except results.Mismatch as mismatch:
        raise typer.BadParameter(str(mismatch)) from mismatch
    for library in chosen:
        told = _played(library, venvs, plan, quick=quick)
        results.check_digests(table, told)
        if folder:  # another process may have added a library meanwhile
            table = results.load(folder, plan)
        table["libraries"][library.name] = told
        if folder:
            results.save(folder, table)
            (folder / "learning.md").write_text(report.markdown(table))
    print(report.markdown(table), end="")


def _chosen(names: list[str] | None) -> list[Library]:
    known = {library.name: library for library in LIBRARIES}
    for name in names or []:
        if name not in known:
            raise typer.BadParameter(f"{name} is none of {', '.join(known)}", param_hint="--peer")
    return [known[name] for name in names] if names else LIBRARIES


def _numbers(seeds: str) -> tuple[int, ...]:
    try:
        return tuple(int(seed) for seed in seeds.split(","))
    except ValueError as error:
        raise typer.BadParameter(f"{seeds} is not a list of integers", param_hint="--seeds") from error


def _played(library: Library, venvs: Path, plan: Plan, *, quick: bool) -> Result:
    """A library's part of the results; what went wrong is a part of them, too."""
    command = f"python -m benchmarks.learning --peer {library.name} --rounds {plan.rounds}"
    command += f" --seeds {','.join(map(str, plan.seeds))}" + (" --quick" if quick else "")
    told: Result = {"command": command, "machine": results.machine()}
    failure = peers.failure_of(library, venvs)
    if failure:
        return told | {"error": failure, "wall_s": 0.0}
    began = time.monotonic()
    columns = (TextColumn("{task.description:18}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        bar = progress.add_task(library.name, total=None)

        def tick(done: int, known: int) -> None:
            progress.update(bar, completed=done, total=known)

        try:
            told |= play_library(library, peers.python_of(library, venvs), plan, tick)
        except PlayerDied as death:
            told |= {"error": str(death)}
    return told | {"wall_s": round(time.monotonic() - began, 1)}


if __name__ == "__main__":
    app()
