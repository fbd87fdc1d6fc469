"""`rewardloop up`, `status` and `down`."""

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Annotated, Any, NoReturn

import httpx
import psutil
import typer

from serve import cluster, demo
from serve.cli.admin import DATA_DIR, REDIS_URL
from serve.cli.errors import CommandError
from serve.cli.greeting import greeting
from serve.cli.store import Store, with_store
from serve.plan import Plan
from serve.running import Running
from serve.settings import PREFIX, Settings, load_settings
from storage import log

STOP_DEADLINE_S = 30.0
POLL_S = 0.05


def up(
    host: Annotated[str | None, typer.Option(help="Address to serve HTTP on; default 127.0.0.1.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to serve HTTP on; default 8000.")] = None,
    data_dir: Annotated[Path | None, DATA_DIR] = None,
    redis_url: Annotated[str | None, REDIS_URL] = None,
    partitions: Annotated[int | None, typer.Option(help="Partitions of a new installation; default 64.")] = None,
    learners: Annotated[int | None, typer.Option(help="Learner actors; default 1.")] = None,
    replicas: Annotated[int | None, typer.Option(help="Replicas of the HTTP service; default 1.")] = None,
    with_demo: Annotated[bool, typer.Option("--demo", help="Make tenant `demo` and show how to use it.")] = False,  # noqa: FBT002
) -> None:
    """Run the service in the foreground: Redis (unless one is given), Ray, the learners and the HTTP API.

    Prints `ready URL` when it serves. Ctrl-C stops everything that it started. All settings: docs/settings.md.
    """
    if redis_url is not None:
        _hide(redis_url)
    settings = load_settings(
        host=host,
        port=port,
        data_dir=data_dir,
        partitions=partitions,
        learners=learners,
        replicas=replicas,
    )

    def on_ready(plan: Plan) -> None:
        if with_demo:
            typer.echo(demo.prepare(settings, plan))
        typer.echo(greeting(settings, plan))
        typer.echo(f"ready {cluster.service_url(settings)}")

    cluster.run(settings, on_ready)


def status(
    data_dir: Annotated[Path | None, DATA_DIR] = None,
    redis_url: Annotated[str | None, REDIS_URL] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,  # noqa: FBT002
) -> None:
    """Tell what runs, where the logs end and how far the learners lag. Exit code 1 unless all is well."""
    settings = load_settings(data_dir=data_dir, redis_url=redis_url)
    info = _running(settings)
    if info is None:
        raise CommandError(f"no service runs in {settings.data_dir}")
    report = {**info, **_readiness(info["url"]), "entries": with_store(settings, _entries)}
    if as_json:
        typer.echo(json.dumps(report))
    else:
        _print(report)
    if report["status"] != "ready":
        raise typer.Exit(1)


def down(data_dir: Annotated[Path | None, DATA_DIR] = None) -> None:
    """Stop the service that runs in the data directory and wait until it is gone."""
    settings = load_settings(data_dir=data_dir)
    info = _running(settings)
    if info is None:
        raise CommandError(f"no service runs in {settings.data_dir}")
    os.kill(info["pid"], signal.SIGTERM)
    deadline = time.monotonic() + STOP_DEADLINE_S
    while _runs(info["pid"]):
        if time.monotonic() > deadline:
            raise CommandError(f"process {info['pid']} is still there after {STOP_DEADLINE_S:.0f} s")
        time.sleep(POLL_S)
    typer.echo("stopped")


def _hide(redis_url: str) -> NoReturn:
    """Start this program again with the address, and the password in it, in the environment.

    Whoever lists processes sees a command line, and the Ray dashboard shows it on its Jobs page.
    """
    kept = [part for part in sys.orig_argv if part != redis_url and not part.startswith("--redis-url")]
    os.environ[f"{PREFIX}REDIS_URL"] = redis_url
    sys.stdout.flush()
    os.execv(sys.executable, kept)  # noqa: S606 - no shell is meant


def _running(settings: Settings) -> dict[str, Any] | None:
    info = Running(settings.data_dir).read()
    return info if info is not None and _runs(info["pid"]) else None


def _runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _readiness(url: str) -> dict[str, Any]:
    try:
        answer: dict[str, Any] = httpx.get(f"{url}/-/readyz", timeout=5).json()
    except (httpx.HTTPError, ValueError) as error:
        return {"status": "unready", "reasons": [f"HTTP does not answer: {error}"], "learners": []}
    return answer


async def _entries(store: Store) -> int:
    return sum(await log.heads(store.redis, range(store.partitions)))


def _print(report: dict[str, Any]) -> None:
    typer.echo(f"{report['status']}  {report['url']}  pid {report['pid']}  {report['entries']} entries in the logs")
    if report["dashboard"]:
        typer.echo(f"dashboard  {report['dashboard']}  token in {report['dashboardToken']}")
    for learner in report["learners"]:
        place = f"{learner['partitions']} partitions  {learner['behind']} behind  lag {learner['lagMs']} ms"
        typer.echo(f"{learner['name']}  {place}")
        if learner["archiveError"]:
            typer.echo(f"{learner['name']}  cannot archive, keeps all in Redis: {learner['archiveError']}")
    for reason in report["reasons"]:
        typer.echo(f"unready: {reason}")
