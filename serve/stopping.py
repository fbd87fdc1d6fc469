"""SIGINT and SIGTERM, taken for the wish to stop that they are, whenever they come."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager


class Stop:
    """Whether somebody asked to stop.

    No `threading.Event`: what sets it is a signal's handler, which runs in the thread that waits. Where that thread
    has the event's lock just then, as it does for a moment at the end of each wait, the two wait for ever.
    """

    def __init__(self) -> None:
        self.asked = False

    def wait(self, seconds: float) -> bool:
        """Sleep, unless somebody has asked already; return whether somebody has by now."""
        if not self.asked:
            time.sleep(seconds)
        return self.asked


@contextmanager
def signals(stop: Stop) -> Iterator[None]:
    """Have SIGINT and SIGTERM ask to stop while the block lasts."""

    def note(*_: object) -> None:
        stop.asked = True

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
