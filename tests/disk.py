"""A disk for tests that loses its power: a file system in a file, whose copy holds what had reached the disk."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


class Disk:
    """A file system at `path`. What programs wrote and did not fsync is in memory, not in its image."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "disk"
        self._image = folder / "image"

    def make(self, size: str) -> bool:
        """Make and mount it; return whether we may."""
        self.path.mkdir()
        subprocess.run(["truncate", "-s", size, str(self._image)], check=True)
        subprocess.run(["mkfs.ext4", "-q", "-m", "0", str(self._image)], check=True)
        return self._mount().returncode == 0

    @contextmanager
    def full(self) -> Iterator[None]:
        """Have no byte free on it while the block lasts."""
        ballast = self.path / "ballast"
        with ballast.open("wb", buffering=0) as file, suppress(OSError):
            left = os.statvfs(self.path)
            os.posix_fallocate(file.fileno(), 0, (left.f_bavail - 64) * left.f_frsize)  # its own map takes some
            file.seek(0, os.SEEK_END)
            while True:
                file.write(bytes(left.f_frsize))
        try:
            yield
        finally:
            ballast.unlink()

    def cut_power(self) -> Path:
        """Return a copy of the disk as it is without what is in memory only; the disk goes on."""
        copy = self._image.with_name("after")
        shutil.copyfile(self._image, copy)
        return copy

    def replace(self, image: Path) -> None:
        """Put another disk in its place."""
        self.remove()
        self._image = image
        assert self._mount().returncode == 0

    def remove(self) -> None:
        subprocess.run(["umount", "--lazy", str(self.path)], check=True)

    def _mount(self) -> "subprocess.CompletedProcess[str]":
        command = ["mount", "-o", "loop", str(self._image), str(self.path)]
        return subprocess.run(command, capture_output=True, text=True, check=False)


@contextmanager
def disk_in(folder: Path, size: str) -> Iterator[Disk | None]:
    """Have a disk while the block lasts; None where we may not mount one."""
    disk = Disk(folder)
    if not disk.make(size):
        yield None
        return
    try:
        yield disk
    finally:
        disk.remove()
