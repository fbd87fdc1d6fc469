"""How a run is told: a table, and for each violation the least history that shows it."""

import json
from collections.abc import Iterator
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.faults.torture.history import Violation
from tests.faults.torture.run import Run, report

SHOWN = 20
NEAR_S = 3.0


def told(run: Run) -> str:
    """Return the seed and, for the first violations, the operations on that key with times and faults nearby."""
    lines = [f"seed {run.seed}: {len(run.violations)} violations"]
    for one in run.violations[:SHOWN]:
        lines += [f"{one.kind}: {one.key} {one.text}", *(f"    {line}" for line in _minimal(run, one))]
    return "\n".join(lines)


def _minimal(run: Run, violation: Violation) -> Iterator[str]:
    start = min((one.sent_at for one in run.book.attempts), default=0.0)
    about = [one for one in run.book.attempts if violation.key and violation.key in (one.key, str(one.number))]
    for one in about[:SHOWN]:
        span = f"{one.sent_at - start:9.3f} … {one.answered_at - start:9.3f}"
        what = f"client {one.client} {one.kind} {one.key} of {one.customer}"
        yield f"{span} {what}: {one.status or 'unknown'} {one.interaction_id} {one.position or ''}"
    for entry in run.log:
        if entry.number and entry.number in {one.number for one in about}:
            yield f"log: {entry}"
    for fault in run.faults:
        if any(
            fault.began_at - NEAR_S < one.answered_at and one.sent_at < fault.healed_at + NEAR_S for one in about
        ):
            yield f"{fault.began_at - start:9.3f} … {fault.healed_at - start:9.3f} fault: {fault.name}"


def show(run: Run, console: Console) -> None:
    """Print the run's report as a table, and what it found."""
    table = Table(title=f"torture, seed {run.seed}", show_header=False)
    for name, value in report(run).items():
        table.add_row(name, _plain(value))
    console.print(table)
    if run.violations:
        console.print(told(run), markup=False, highlight=False)


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return "\n".join(f"{number:>8} {name}" for name, number in value.items()) or "none"
    return str(value)


def as_json(run: Run) -> str:
    """Return the report as a JSON text, with the violations."""
    found = [{"kind": one.kind, "key": one.key, "text": one.text} for one in run.violations]
    return json.dumps({**report(run), "violations": found}, indent=2) + "\n"
