"""`make torture`: torture a service for some minutes; exit 1 where a promise was broken."""

import secrets
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import typer
from rich.console import Console

from tests.faults.torture.run import torture
from tests.faults.torture.telling import as_json, show


def main(minutes: float = 20.0, seed: int = -1, out: Path = Path("build/torture.json")) -> None:
    """Torture a service of its own; print and write the report."""
    seed = seed if seed >= 0 else secrets.randbelow(2**31)
    print(f"seed {seed}", flush=True)  # noqa: T201 - the seed is known even if the run never ends
    with TemporaryDirectory(prefix="torture-", ignore_cleanup_errors=True) as folder:
        run = torture(Path(folder), seed, 60 * minutes)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(as_json(run))
    show(run, Console(width=120))
    sys.exit(1 if run.violations else 0)


if __name__ == "__main__":
    typer.run(main)
