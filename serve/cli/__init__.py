"""The command `rewardloop`."""

import sys
from typing import Annotated

import typer

from serve.cli import admin, bench, data, evaluate, export, ingest, recount, replay, service
from serve.cli.errors import CommandError
from serve.cluster import ServiceError
from serve.errors import ApiError
from serve.settings import SettingsError
from storage.errors import StorageError

EXPECTED = (CommandError, ServiceError, SettingsError, StorageError, ApiError)
"""What a command may end with in the ordinary course of things: one line, no traceback."""

app = typer.Typer(
    name="rewardloop",
    help="Recommendations that learn from what customers do.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
tenants = typer.Typer(help="Tenants of an installation.", no_args_is_help=True)
keys = typer.Typer(help="API keys.", no_args_is_help=True)
catalogs = typer.Typer(help="A tenant's catalogue.", no_args_is_help=True)
datasets = typer.Typer(help="Public data to try things on.", no_args_is_help=True)


@app.callback()
def _options(debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False) -> None:  # noqa: FBT002
    """Read by `main` before anything can fail."""


app.command("up")(service.up)
app.command("status")(service.status)
app.command("down")(service.down)
app.command("ingest")(ingest.ingest)
app.command("export")(export.export)
app.command("recount")(recount.recount)
app.command("replay")(replay.replay)
app.command("evaluate")(evaluate.evaluate_log)
app.command("bench")(bench.bench)
app.command("import")(data.import_log)
tenants.command("create")(admin.create_tenant)
keys.command("create")(admin.create_key)
catalogs.command("load")(admin.load_catalog)
datasets.command("obd")(data.data_obd)
app.add_typer(tenants, name="tenants")
app.add_typer(keys, name="keys")
app.add_typer(catalogs, name="catalog")
app.add_typer(datasets, name="data")


def main() -> None:
    """Run the command line: 0 ok, 1 failed, 2 usage; errors are one line on stderr."""
    debug = "--debug" in sys.argv[1:]
    try:
        app()
    except EXPECTED as error:
        if debug:
            raise
        message = error.message if isinstance(error, ApiError) else str(error)
        typer.echo(f"rewardloop: {message}", err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
