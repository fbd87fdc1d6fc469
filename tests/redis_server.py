"""A Redis that is not the service's own: on TCP, with a password, as one that somebody else runs."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import redis as sync_redis

from storage.embedded import find_binary
from tests.service import free_port

PASSWORD = "correct-horse-battery-staple"


@dataclass(frozen=True)
class ExternalRedis:
    port: int

    @property
    def url(self) -> str:
        return f"redis://:{PASSWORD}@127.0.0.1:{self.port}/0"

    def connect(self) -> sync_redis.Redis:
        return sync_redis.Redis(port=self.port, password=PASSWORD)


@contextmanager
def external_redis(folder: Path, **options: str) -> Iterator[ExternalRedis]:
    """Run a Redis in `folder` while the block lasts; by default one that loses nothing."""
    server = ExternalRedis(free_port())
    settings = {
        "bind": "127.0.0.1",
        "port": str(server.port),
        "dir": str(folder),
        "requirepass": PASSWORD,
        "save": '""',
        "appendonly": "yes",
        "appendfsync": "always",
        "aof-load-truncated": "no",
        **options,
    }
    config = folder / "redis.conf"
    config.write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
    process = subprocess.Popen([find_binary(), str(config)], stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 30
        with server.connect() as client:
            while not _answers(client):
                assert process.poll() is None, "redis-server ended at once"
                assert time.monotonic() < deadline, "redis-server does not answer"
        yield server
    finally:
        process.terminate()
        process.wait(10)


def _answers(client: sync_redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except sync_redis.ConnectionError:
        time.sleep(0.02)
        return False
