"""The command `rewardloop`."""

import sys
from importlib import import_module
from typing import Annotated, Final

import typer

from learners import kernels
from serve.cli.errors import CommandError
from serve.errors import ApiError, ServiceError
from serve.settings import SettingsError
from storage.errors import StorageError

EXPECTED = (CommandError, ServiceError, SettingsError, StorageError, ApiError)
"""What a command may end with in the ordinary course of things: one line, no traceback."""

COMMANDS: Final = {
    "up": "service:up",
    "status": "service:status",
    "down": "service:down",
    "ingest": "ingest:ingest",
    "export": "export:export",
    "recount": "recount:recount",
    "replay": "replay:replay",
    "evaluate": "evaluate:evaluate_log",
    "bench": "bench:bench",
    "import": "data:import_log",
    "tenants create": "admin:create_tenant",
    "keys create": "admin:create_key",
    "catalog load": "admin:load_catalog",
    "data obd": "data:data_obd",
}
"""Each command with the module of this package and the function that do it."""
GROUPS: Final = {
    "tenants": "Tenants of an installation.",
    "keys": "API keys.",
    "catalog": "A tenant's catalogue.",
    "data": "Public data to try things on.",
}


def _options(debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False) -> None:  # noqa: FBT002
    """Read by `main` before anything can fail."""


def command_line(first: str | None = None) -> typer.Typer:
    """Return all commands, or where some begin with the word `first` those alone: what others need loads long."""
    known = [words for words in COMMANDS if words.split()[0] == first] or list(COMMANDS)
    line = typer.Typer(
        name="rewardloop",
        help="Recommendations that learn from what customers do.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    line.callback()(_options)
    groups: dict[str, typer.Typer] = {}
    for words in known:
        group, _, name = words.rpartition(" ")
        if group and group not in groups:
            groups[group] = typer.Typer(help=GROUPS[group], no_args_is_help=True)
            line.add_typer(groups[group], name=group)
        module, function = COMMANDS[words].split(":")
        place = groups[group] if group else line
        place.command(name)(getattr(import_module(f"serve.cli.{module}"), function))
    return line


def main() -> None:
    """Run the command line: 0 ok, 1 failed, 2 usage; errors are one line on stderr."""
    debug = "--debug" in sys.argv[1:]
    kernels.choose()  # before a command's module imports NumPy
    first = next((word for word in sys.argv[1:] if not word.startswith("-")), None)
    try:
        command_line(first)()
    except EXPECTED as error:
        if debug:
            raise
        message = error.message if isinstance(error, ApiError) else str(error)
        typer.echo(f"rewardloop: {message}", err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
