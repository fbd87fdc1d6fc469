"""Shows a learner while it learns: its state files and its gauges, every few seconds.

It reads the learner and never holds it up: it takes a small share of the event loop, and writes in a thread.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from learners.beliefs import NOTHING, Beliefs, newest_beliefs
from learners.gauges import Gauges
from learners.learner import Learner
from learners.statefile import render_lines, render_table, replace_file
from storage.clock import now_ms
from storage.logs import get_logger

INTERVAL_S: Final = 3.0
LONGEST_INTERVAL_S: Final = 10.0
"""A gauge that has not been set for twenty seconds vanishes."""
WORK_SHARE: Final = 0.05
"""At most this part of the time goes into showing, however many models there are."""

_log = get_logger()


class Display:
    """Shows one learner.

    Args:
        learner: whom to show.
        folder: where its state files are.
        gauges: its figures.
        counts: returns how many `outcomes` it applied and `snapshots` it sent since its process started.
    """

    def __init__(
        self, learner: Learner, folder: Path, gauges: Gauges, counts: Callable[[], Mapping[str, int]]
    ) -> None:
        self._learner = learner
        self._folder = folder
        self._gauges = gauges
        self._counts = counts
        self._beliefs: Beliefs = NOTHING
        self._written: int | None = None
        """The sum of positions that the files show."""
        self._error: str | None = None

    async def run(self) -> None:
        """Show the learner for as long as the task lasts."""
        while True:
            started = time.monotonic()
            await self.step()
            spent = time.monotonic() - started
            await asyncio.sleep(min(max(INTERVAL_S, spent / WORK_SHARE), LONGEST_INTERVAL_S))

    async def step(self) -> None:
        """Set the gauges, and write the files if the learner has moved since they were written."""
        status = self._learner.status()
        self._gauges.tell(status, self._counts())
        position = sum(status.positions.values())
        if position != self._written:
            self._beliefs = await newest_beliefs(self._learner.shards.values())
            if await asyncio.to_thread(self._write):
                self._written = position
        self._gauges.tell_offers(self._beliefs)

    def _write(self) -> bool:
        """Write the files; a disk that is full is told once, and tried again."""
        status, time_ms = self._learner.status(), now_ms()
        try:
            for ending, render in (("txt", render_table), ("jsonl", render_lines)):
                path = self._folder / f"{status.name}.{ending}"
                replace_file(path, render(status, self._beliefs, time_ms))
        except OSError as error:
            if self._error is None:
                _log.warning("cannot write the state file", learner=status.name, error=str(error))
            self._error = str(error)
            return False
        self._error = None
        return True
