"""Starting the service: what cannot work is told before anything is started."""

import subprocess
import sys
from pathlib import Path

import pytest

from serve.cluster import make_plan
from serve.errors import ServiceError
from serve.settings import Settings

WATCHING = """
from serve.cluster import _watch
from serve.stopping import Stop

class Redis:
    running, starts, cut = False, 0, 0

    def start(self):
        self.starts += 1
        if self.starts == 1:
            raise OSError(28, "No space left on device")
        self.running = True
        stop.asked = True

stop = Stop()
_watch(Redis(), stop)
"""


def test_an_archive_that_cannot_be_is_told_at_once(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, archive="nowhere://bucket")
    with pytest.raises(ServiceError, match="archive nowhere://bucket: ") as caught:
        make_plan(settings, "unix:///nothing.sock")
    assert "\n" not in str(caught.value)


def test_redis_is_started_again_though_the_disk_of_the_log_is_full() -> None:
    with Path("/dev/full").open("w") as full:
        watching = [sys.executable, "-c", f"{WATCHING}\nimport os\nos._exit(0)"]
        done = subprocess.run(watching, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
