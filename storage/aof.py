"""The end of Redis's append-only file, where a crash has left a transaction unfinished.

What a script writes stands in that file between MULTI and EXEC. Of a file that ends in between, Redis with
`aof-load-truncated yes`, its default, cuts off the command that is incomplete, and writes on behind the others: at
its next start these and the first acknowledged writes after them are one transaction, in which the ones that nobody
was promised come first, and win (found by `make torture`; github.com/valkey-io/valkey/pull/4342 tells of it, too).
So the embedded Redis runs with `no` and refuses such a file, and here it is cut where the transaction begins.
"""

import shutil
import subprocess
from pathlib import Path
from typing import Final

from storage.errors import EmbeddedRedisError

REFUSED: Final = "Unexpected end of file reading the append only file"
"""What Redis says of a file that is sound but for its end."""


def cut_unfinished(folder: Path, binary: str) -> int:
    """Cut what is unfinished at the end of the append-only file in `folder`; return how many bytes that were.

    Args:
        folder: where the server `binary`, which does not run, keeps its data.
        binary: path of redis-server or valkey-server; the program that checks its files comes along with it.

    Raises:
        EmbeddedRedisError: the file could not be mended; it is as it was.
    """
    manifest = folder / "appendonlydir" / "appendonly.aof.manifest"  # since Redis 7
    file = manifest if manifest.exists() else folder / "appendonly.aof"
    before = _size(file)
    done = subprocess.run(
        [_checker(binary).name, "--fix", str(file)],
        executable=_program(binary),
        input="y\n",
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        said = " ".join((done.stdout + done.stderr).split())
        raise EmbeddedRedisError(f"{file} ends in an unfinished transaction and could not be mended: {said}")
    return before - _size(file)


def _checker(binary: str) -> Path:
    return Path(binary).with_name(Path(binary).name.replace("server", "check-aof"))


def _program(binary: str) -> str:
    """Return what checks files: beside the server, on PATH, or the server itself, which does it under that name."""
    checker = _checker(binary)
    return str(checker) if checker.exists() else shutil.which(checker.name) or binary


def _size(file: Path) -> int:
    files = file.parent.glob("*.aof") if file.suffix == ".manifest" else [file]
    return sum(one.stat().st_size for one in files)
