"""A short private directory for sockets: their paths hold some 100 bytes, data directories may be deep."""

import os
from hashlib import sha256
from pathlib import Path
from tempfile import gettempdir
from typing import Final

from storage.errors import StorageError

SHORT_TMP: Final = Path("/tmp")  # noqa: S108 - the directory in it is made private, or refused


def run_dir(data_dir: Path) -> Path:
    """Return the directory that belongs to `data_dir`, made if need be, open to nobody else.

    HAProxy under Ray leaves 26 bytes for it, so neither TMPDIR (where there is a shorter way) nor a user's name is
    part of its path.

    Raises:
        StorageError: somebody else has made it.
    """
    mark = sha256(f"{os.getuid()}:{data_dir.resolve()}".encode()).hexdigest()[:10]
    base = SHORT_TMP if os.access(SHORT_TMP, os.W_OK) else Path(gettempdir())
    path = base / f"rl-{mark}"
    path.mkdir(mode=0o700, exist_ok=True)
    if path.is_symlink() or path.stat().st_uid != os.getuid():
        raise StorageError(f"{path} belongs to somebody else")
    path.chmod(0o700)
    return path
