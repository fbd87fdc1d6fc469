"""`python -m benchmarks.speed.peers`: a virtual environment for each library that the table compares with."""

from __future__ import annotations

import subprocess

import typer

from benchmarks.evaluation.__main__ import install as install_obp
from benchmarks.learning.peers import DEFAULT, install
from benchmarks.learning.registry import LIBRARIES
from benchmarks.speed import fold_rows, log_rows


def main() -> None:
    """Install the pinned versions; one that fails is told, here and in the table, and does not stop the rest."""
    for library in LIBRARIES:
        if library.name in fold_rows.PEERS:
            words = install(library, DEFAULT)
            print(f"{library.name}: {words or 'installed ' + library.requirements[0]}", flush=True)
    for name, make in (("obp", install_obp), ("vw-estimators", log_rows.install_vw)):
        try:
            make(log_rows.PEERS)
        except subprocess.CalledProcessError as error:
            print(f"{name}: pip failed, {error.returncode}", flush=True)
        else:
            print(f"{name}: installed", flush=True)


if __name__ == "__main__":
    typer.run(main)
