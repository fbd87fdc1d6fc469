"""How far a file was ingested, kept beside the data so that `--resume` can go on from there."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from serve.cli.errors import CommandError
from serve.settings import SettingsError, load_settings

_HEAD: Final = 1024 * 1024
"""Bytes of a file that tell it from others, with its size: enough for any log, and quick for a huge one."""


def data_dir() -> Path:
    """Return the directory that the commands keep data in, the service's own.

    Raises:
        CommandError: The environment has a setting that cannot be.
    """
    try:
        return load_settings().data_dir
    except SettingsError as error:
        raise CommandError(str(error)) from error


class _Page(msgspec.Struct):
    file: str
    url: str
    tenant: str
    lines: int


@dataclass(frozen=True, slots=True)
class Bookmark:
    """The number of lines, from the file's first, that one tenant of one service has acknowledged."""

    path: Path
    file: Path
    url: str
    tenant: str

    def read(self) -> int:
        """Return the acknowledged lines; 0 where nothing is known."""
        try:
            return msgspec.json.decode(self.path.read_bytes(), type=_Page).lines
        except (OSError, msgspec.MsgspecError):
            return 0

    def write(self, lines: int) -> None:
        """Keep the number of acknowledged lines; an interruption leaves the old number or the new."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        beside = self.path.with_suffix(f".{os.getpid()}.tmp")
        beside.write_bytes(msgspec.json.encode(_Page(str(self.file), self.url, self.tenant, lines)))
        beside.replace(self.path)


def bookmark(data_dir: Path, file: Path, url: str, tenant: str) -> Bookmark:
    """Return the bookmark of a file's contents for one tenant of one service; its name does not matter."""
    with file.open("rb") as opened:
        head = opened.read(_HEAD)
    digest = hashlib.sha256(head)
    for part in (str(file.stat().st_size), url, tenant):
        digest.update(b"\0" + part.encode())
    return Bookmark(data_dir / "ingest" / f"{digest.hexdigest()}.json", file, url, tenant)
