"""`python -m benchmarks.learning.peers install`: a virtual environment for each library of the comparison."""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.learning.registry import LIBRARIES, Library

DEFAULT = Path(".venv-peers")
app = typer.Typer(add_completion=False, help="Virtual environments of the libraries compared.")


def python_of(library: Library, folder: Path) -> Path:
    """The interpreter that runs a library: its own environment's, or ours where it needs none."""
    return folder / library.name / "bin" / "python" if library.requirements else Path(sys.executable)


def failure_of(library: Library, folder: Path) -> str | None:
    """Why a library cannot run, as its installation told; None if it can."""
    told = folder / f"{library.name}.failed"
    if told.exists():
        return f"pip could not install {library.requirements[0]}: {told.read_text().strip()}"
    if not python_of(library, folder).exists():
        return "not installed; `python -m benchmarks.learning.peers install` does it"
    return None


def install(library: Library, folder: Path) -> str | None:
    """Makes a library's environment anew; pip's last words if that failed, also kept beside the environment."""
    home = folder / library.name
    venv.create(home, with_pip=True, clear=True)
    told = folder / f"{library.name}.failed"
    told.unlink(missing_ok=True)
    pip = [str(home / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    done = subprocess.run([*pip, *library.requirements], capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return None
    words = (done.stderr.strip().splitlines() or ["pip said nothing"])[-1]
    told.write_text(words + "\n")
    return words


@app.callback()
def main() -> None:
    """Keeps `install` a command of its own."""


@app.command("install")
def install_command(
    folder: Annotated[Path, typer.Option("--venvs", help="Where the virtual environments go.")] = DEFAULT,
    peer: Annotated[list[str] | None, typer.Option(help="Only this library; may be repeated.")] = None,
) -> None:
    """Installs the pinned versions, about 1.5 GB for all; a library that fails does not stop the rest."""
    failed = 0
    for library in LIBRARIES:
        if not library.requirements or (peer and library.name not in peer):
            continue
        words = install(library, folder)
        failed += words is not None
        print(f"{library.name}: {words or 'installed ' + library.requirements[0]}", flush=True)
    raise typer.Exit(1 if failed else 0)


if __name__ == "__main__":
    app()
