"""What processes write to their logs: lines of text on standard output, for people to read."""

from typing import Any

import structlog
from structlog.dev import ConsoleRenderer, plain_traceback


def get_logger() -> Any:
    """Return a logger whose tracebacks show code alone.

    structlog's own default draws what each variable holds beside it: keys, bodies, customers, the pepper; and takes
    half a minute of a replica's time for it.
    """
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.dev.set_exc_info,
            structlog.processors.TimeStamper(fmt="%Y-%m-%d %H:%M:%S", utc=False),
            ConsoleRenderer(colors=False, exception_formatter=plain_traceback),
        ]
    )
    return structlog.get_logger()
