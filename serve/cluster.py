"""The service as a whole: storage, learners and replicas, started in order and stopped in reverse."""

import asyncio
import fcntl
import logging
import os
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import IO, Any, Final

from learners import kernels
from serve.errors import ServiceError
from serve.plan import Plan
from serve.running import Running
from serve.secretfile import pepper
from serve.settings import Settings
from serve.stopping import Stop, signals
from storage import client, durability, installation
from storage.archive import Archive
from storage.embedded import UNFINISHED, EmbeddedRedis
from storage.errors import EmbeddedRedisError, StorageError
from storage.logs import get_logger
from storage.rundir import run_dir

OBJECT_STORE_BYTES: Final = 100 * 2**20
"""Ray's shared memory; the service moves small batches only, so Ray's smallest comfortable size will do."""
RESTART_S: Final = 1.0
WATCH_S: Final = 0.1
"""How soon a dead Redis is noticed and started again."""

_log = get_logger()


def run(settings: Settings, on_ready: Callable[["Plan"], None]) -> None:
    """Run the service in the foreground until SIGINT or SIGTERM; end everything it started.

    Raises:
        ServiceError: it could not start.
    """
    settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    stop = Stop()
    with _only_one(settings.data_dir), _free_port(settings), signals(stop), _redis(settings) as (url, redis):
        plan = make_plan(settings, url)
        with ExitStack() as started:
            # Ray puts a handler of its own on SIGTERM, which ends Ray under our feet; ours goes back over it.
            for part in (local_ray(settings), signals(stop), _learners(settings, plan), _serve(settings, plan)):
                if stop.asked:
                    return
                started.enter_context(part)
            own = {"pid": os.getpid(), "url": service_url(settings), "redisPid": redis and redis.pid}
            with Running(settings.data_dir).told({**own, **_dashboard(settings)}):
                on_ready(plan)
                _watch(redis, stop)


def make_plan(settings: Settings, redis_url: str) -> Plan:
    """Return what replicas are opened with, making the installation if it is new.

    Raises:
        ServiceError: Redis does not answer, or was set up otherwise; the archive cannot be where it should.
    """

    async def ensure() -> int:
        async with client.writer(redis_url) as redis:
            partitions = await installation.ensure(redis, settings.partitions)
            if settings.redis_url is not None:
                for doubt in await durability.doubts(redis, settings.redis_replicas):
                    _log.warning(doubt)
            return partitions

    try:
        Archive(archive_location(settings))  # a location that cannot be is told now, not by every learner
        partitions = asyncio.run(ensure())
    except StorageError as error:
        raise ServiceError(str(error)) from error
    return Plan(
        redis_url,
        partitions,
        pepper(settings),
        settings.max_queued_commits,
        archive_location(settings),
        {},
        redis_replicas=settings.redis_replicas,
    )


def service_url(settings: Settings) -> str:
    """Return the address of the service."""
    host = "127.0.0.1" if settings.host in {"0.0.0.0", "::"} else settings.host  # noqa: S104 - compared, not bound
    return f"http://{host}:{settings.port}"


def _dashboard(settings: Settings) -> dict[str, Any]:
    """Return where the local Ray's dashboard is, and the file of the token that opens it."""
    if settings.ray_address is not None:
        return {"dashboard": None, "dashboardToken": None}
    return {
        "dashboard": f"http://127.0.0.1:{settings.dashboard_port}",
        "dashboardToken": os.environ.get("RAY_AUTH_TOKEN_PATH"),
    }


def archive_location(settings: Settings) -> str:
    """Return where the archive is."""
    return settings.archive or str(settings.data_dir.resolve() / "archive")


@contextmanager
def _only_one(data_dir: Path) -> Iterator[IO[str]]:
    with (data_dir / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ServiceError(f"a service runs in {data_dir} already; `rewardloop down` stops it") from None
        yield lock


@contextmanager
def _free_port(settings: Settings) -> Iterator[None]:
    """Refuse to start where somebody else has the port, before anything else is started."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            raise ServiceError(f"cannot listen on {settings.host}:{settings.port}: {error.strerror}") from None
    yield


@contextmanager
def _redis(settings: Settings) -> Iterator[tuple[str, EmbeddedRedis | None]]:
    if settings.redis_url is not None:
        yield settings.redis_url, None
        return
    redis = EmbeddedRedis(settings.data_dir)
    try:
        _start(redis)
    except EmbeddedRedisError as error:
        raise ServiceError(str(error)) from error
    try:
        yield redis.url, redis
    finally:
        redis.stop()


def _start(redis: EmbeddedRedis) -> None:
    if redis.start():
        _log.info("adopted the running Redis", pid=redis.pid)
    if redis.cut:
        _log.warning(UNFINISHED, bytes=redis.cut)


@contextmanager
def local_ray(
    settings: Settings, options: Mapping[str, Any] = MappingProxyType({}), *, serves: bool = True
) -> Iterator[None]:
    """Run Ray, or join the one that the settings name, while the block lasts.

    Args:
        settings: The service's.
        options: More of `ray.init`'s arguments.
        serves: Whether HTTP is answered, which takes ports.

    Raises:
        ServiceError: the machine has no ports left for it.
    """
    from serve import rayenv  # noqa: PLC0415 - the environment is set before Ray is imported

    rayenv.prepare(settings, run_dir(settings.data_dir), service_url(settings), serves=serves)
    import ray  # noqa: PLC0415

    local: dict[str, Any] = {
        "num_cpus": os.cpu_count(),
        "dashboard_host": "127.0.0.1",
        "dashboard_port": settings.dashboard_port,
        "object_store_memory": OBJECT_STORE_BYTES,
        "_temp_dir": str(run_dir(settings.data_dir) / "ray"),
        **options,
    }
    others = {"runtime_env": {"env_vars": kernels.chosen()}}  # their workers do not inherit ours
    with _free_agent_port():
        ray.init(
            address=settings.ray_address or "local",
            namespace="rewardloop",
            log_to_driver=False,
            logging_level=logging.WARNING,
            **(local if settings.ray_address is None else others),
        )
    try:
        yield
    finally:
        ray.shutdown()


@contextmanager
def _free_agent_port() -> Iterator[None]:
    """Have the agent of a node that is started meanwhile listen on any free port, not on 52365.

    Where that port is taken, by another Ray or by the agent of one that was killed a minute ago, the agent does not
    start, and the dashboard shows no logs. `ray.init` has no argument for it.
    """
    from ray._private import parameter  # noqa: PLC0415 - private, hence only where it is needed

    original = parameter.RayParams
    vars(parameter)["RayParams"] = partial(original, dashboard_agent_listen_port=0)
    try:
        yield
    finally:
        vars(parameter)["RayParams"] = original


@contextmanager
def batch_ray(settings: Settings, workers: int) -> Iterator[None]:
    """Have a Ray for batch work while the block lasts: the cluster of the settings, else one of this machine.

    One worker needs none.
    """
    if workers == 1:
        yield
        return
    with TemporaryDirectory(prefix="rewardloop-") as folder:
        own = settings.model_copy(update={"data_dir": Path(folder)})
        with local_ray(own, {"num_cpus": workers, "include_dashboard": False}, serves=False):
            yield


def start_learners(settings: Settings, plan: Plan) -> None:
    """Start the learners on the Ray that this process is connected to; those that ran there are ended first."""
    from learners import actor  # noqa: PLC0415 - imports Ray

    actor.start_learners(
        settings.learners,
        plan.partitions,
        plan.redis_url,
        settings.checkpoint_interval_s,
        plan.archive,
        settings.archive_segment,
        settings.offer_gauges,
    )


@contextmanager
def _learners(settings: Settings, plan: Plan) -> Iterator[None]:
    from learners.actor import stop_learners  # noqa: PLC0415 - imports Ray

    start_learners(settings, plan)
    try:
        yield
    finally:
        stop_learners(settings.learners)


@contextmanager
def _serve(settings: Settings, plan: Plan) -> Iterator[None]:
    from serve.deployment import start_serve, stop_serve  # noqa: PLC0415 - imports Ray

    start_serve(settings, plan)
    try:
        yield
    finally:
        stop_serve()


def _watch(redis: EmbeddedRedis | None, stop: Stop) -> None:
    while not stop.wait(WATCH_S):
        if redis is not None and not redis.running:
            _tell("Redis is gone, starting it again")
            try:
                _start(redis)
            except (EmbeddedRedisError, OSError) as error:  # a full disk, say: callers get 503 until it is mended
                _tell("Redis does not start", error=str(error))
                stop.wait(RESTART_S)


def _tell(what: str, **more: str) -> None:
    """Log an error; where the disk of the log is full, too, that is no reason to leave Redis down."""
    with suppress(OSError):
        _log.error(what, **more)
