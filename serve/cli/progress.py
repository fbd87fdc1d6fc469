"""Progress of long work: a bar where a person looks on, silence in a pipe."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

Advance: TypeAlias = Callable[[int, int], None]
"""Is told how far the work is: `done` of the total, and how many `items` that were."""


@contextmanager
def progress(label: str, total: Callable[[], int]) -> Iterator[Advance]:
    """Show a bar on stderr while the block runs, if stderr is a terminal.

    Args:
        label: What is going on.
        total: Returns what `done` will be at the end; asked only if there is a bar.
    """
    if not sys.stderr.isatty():
        yield lambda _done, _items: None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[items]:,} items"),
        TextColumn("{task.fields[rate]:,.0f}/s"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(label, total=total(), items=0, rate=0.0)

        def advance(done: int, items: int) -> None:
            elapsed_s = bar.tasks[task].elapsed or 0.0
            bar.update(task, completed=done, items=items, rate=items / elapsed_s if elapsed_s else 0.0)

        yield advance
