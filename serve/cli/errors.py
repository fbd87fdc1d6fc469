"""How a command says that it cannot go on, or that it goes on without something."""

import itertools
from collections.abc import Callable
from typing import Final, Literal, TypeAlias

import typer

OnError: TypeAlias = Literal["fail", "skip"]
"""What a command does about a line it cannot use: end there, or leave it out."""

SKIPS_TOLD: Final = 10
"""Lines left out that are told one by one; the summary counts them all."""


class CommandError(Exception):
    """A command cannot go on; its message is the one line the user sees."""


def warn(message: object) -> None:
    """Tell something on stderr that is no reason to stop."""
    typer.echo(message, err=True)


def skipping(on_error: OnError) -> Callable[[Exception], None] | None:
    """Return what is to be told of each line that is left out; None where the first is to end the command."""
    if on_error == "fail":
        return None
    count = itertools.count(1)

    def skip(bad: Exception) -> None:
        if (number := next(count)) <= SKIPS_TOLD:
            warn(f"skipped: {bad}{' (more are not told)' if number == SKIPS_TOLD else ''}")

    return skip
