"""`rewardloop bench`: how fast it is on this machine."""

import subprocess
import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from serve.cli.errors import CommandError

CLONE: Final = Path(__file__).parents[2]
PARTS: Final = "http, models, logs, growth"


def bench(
    quick: Annotated[  # noqa: FBT002 - an option
        bool, typer.Option("--quick", help="Short runs, under three minutes; the results are not kept.")
    ] = False,
    part: Annotated[list[str] | None, typer.Option(help=f"Only this part; may be repeated: {PARTS}.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the results; by default benchmarks/results.")] = None,
) -> None:
    """Measure how fast the service, its models and its logs are here, side by side with others.

    Services of their own are started on free ports, with empty data folders that are removed afterwards.
    """
    if not (CLONE / "benchmarks" / "speed").is_dir():
        raise CommandError("the benchmarks come with the repository: install it from a clone, then `make bench`")
    options = ["--quick"] * quick + [f"--part={one}" for one in part or ()]
    options += [f"--out={out.resolve()}"] if out is not None else []
    done = subprocess.run([sys.executable, "-m", "benchmarks.speed", *options], cwd=CLONE, check=False)
    raise typer.Exit(done.returncode)
