"""A short private directory for sockets: their paths hold some 100 bytes, data directories may be deep."""

import os
from hashlib import sha256
from pathlib import Path
from tempfile import gettempdir

from storage.errors import StorageError


def run_dir(data_dir: Path) -> Path:
    """Return the directory that belongs to `data_dir`, made if need be, open to nobody else.

    Raises:
        StorageError: somebody else has made it.
    """
    mark = sha256(os.fsencode(data_dir.resolve())).hexdigest()[:12]
    path = Path(gettempdir()) / f"rewardloop-{os.getuid()}-{mark}"
    path.mkdir(mode=0o700, exist_ok=True)
    if path.is_symlink() or path.stat().st_uid != os.getuid():
        raise StorageError(f"{path} belongs to somebody else")
    path.chmod(0o700)
    return path
