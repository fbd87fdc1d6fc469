"""A clock for tests that steps: libfaketime in front of Redis, from whose clock the log's times come."""

import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from storage.embedded import find_binary

PLACES: Final = ("/usr/lib", "/usr/lib64", "/usr/local/lib", f"/usr/lib/{platform.machine()}-linux-gnu")


class Clock:
    """The clock of a Redis that is started with `environment`; it is right until it is `set`."""

    def __init__(self, folder: Path, library: Path) -> None:
        self._offset = folder / "offset"
        self.set(0)
        binary = folder / "bin" / "redis-server"
        binary.parent.mkdir()
        binary.write_text(
            "#!/bin/sh\n"
            f"export LD_PRELOAD={library} FAKETIME_TIMESTAMP_FILE={self._offset}\n"
            "export FAKETIME_NO_CACHE=1 FAKETIME_DONT_FAKE_MONOTONIC=1\n"
            f'exec {find_binary()} "$@"\n'
        )
        binary.chmod(0o755)
        binary.with_name("redis-check-aof").symlink_to(find_binary())
        self._bin = binary.parent

    def set(self, seconds: int) -> None:
        """Have it go so many seconds before the right time, or behind it."""
        beside = self._offset.with_suffix(".new")
        beside.write_text(f"{seconds:+d}\n")
        beside.replace(self._offset)

    def environment(self, path: str) -> Mapping[str, str]:
        """Return the variables that put it in front of the Redis found on `path`."""
        return {"PATH": f"{self._bin}:{path}"}


def clock_in(folder: Path) -> Clock | None:
    """Return a clock, None where there is no libfaketime: neither where systems keep it nor in LIBFAKETIME."""
    named = os.environ.get("LIBFAKETIME")
    found = (one for place in PLACES for one in Path(place).glob("faketime/libfaketime.so.1"))
    library = Path(named) if named else next(found, None)
    return None if library is None else Clock(folder, library)
