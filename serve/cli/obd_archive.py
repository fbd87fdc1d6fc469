"""The Open Bandit Dataset's archive: fetched by pip, checked, and only its data unpacked."""

import hashlib
import os
import subprocess
import sys
import tarfile
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Final

from serve.cli.errors import CommandError

VERSION: Final = "0.5.7"
ARCHIVE: Final = f"obp-{VERSION}.tar.gz"
SHA256: Final = "3060d67fedfcfadf1e7a6f2608987f74412b5eb74d2c567edeb147595c68f2a0"

_PIP: Final = (
    "-m",
    "pip",
    "download",
    "--quiet",
    "--no-deps",
    "--ignore-requires-python",
    "--no-binary",
    ":all:",
)

_BACKEND: Final = f"""
import pathlib
def prepare_metadata_for_build_wheel(directory, config_settings=None):
    info = pathlib.Path(directory, "obp-{VERSION}.dist-info")
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\\nName: obp\\nVersion: {VERSION}\\n")
    return info.name
"""
"""Stands in for the archive's build backend. pip keeps no source archive whose metadata cannot be made; the
real backend would have to be installed for that. Only data is wanted, so nothing of the archive is to run."""


def raw_dir(out: Path) -> Path:
    """Return where the dataset's own files are unpacked."""
    return out / "raw"


def campaign_csv(out: Path, policy: str, campaign: str) -> Path:
    """Return the file with the rows that a policy logged in a campaign."""
    return raw_dir(out) / policy / campaign / f"{campaign}.csv"


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fetch(out: Path) -> bool:
    """Have the archive in `out`, whole and unchanged; true if it had to be downloaded.

    Raises:
        CommandError: pip could not download it, or it is not the archive that it was.
    """
    archive = out / ARCHIVE
    if archive.exists() and _digest(archive) == SHA256:
        return False
    with TemporaryDirectory(dir=out, prefix=".download-") as scratch:
        downloaded = _download(Path(scratch).resolve())  # pip builds elsewhere, a relative path would be lost
        if _digest(downloaded) != SHA256:
            raise CommandError(f"{ARCHIVE} is not the archive it was: its SHA-256 differs")
        downloaded.replace(archive)
    return True


def _download(scratch: Path) -> Path:
    backend = scratch / "backend" / "poetry" / "core" / "masonry"
    backend.mkdir(parents=True)
    for package in (backend, *backend.parents[:2]):
        (package / "__init__.py").touch()
    (backend / "api.py").write_text(_BACKEND)
    wanted = scratch / "wanted.txt"
    # With the digest here pip itself refuses another archive before it looks inside.
    wanted.write_text(f"obp=={VERSION} --hash=sha256:{SHA256}\n")
    ended = subprocess.run(
        [sys.executable, *_PIP, "--no-build-isolation", "--dest", str(scratch), "--requirement", str(wanted)],
        env={**os.environ, "PYTHONPATH": str(scratch / "backend")},
        capture_output=True,
        text=True,
        check=False,
    )
    # The file counts, not the exit code: some releases of pip keep it and then fail on its metadata.
    downloaded = scratch / ARCHIVE
    if not downloaded.exists():
        said = [line for line in ended.stderr.splitlines() if line.startswith("ERROR")] or ["it said nothing"]
        raise CommandError(f"pip could not download obp=={VERSION}: {said[-1].removeprefix('ERROR: ')}")
    return downloaded


def _place(name: str) -> PurePosixPath | None:
    """Return where a member belongs under the raw directory; None if it is not wanted."""
    inside = PurePosixPath(*PurePosixPath(name).parts[1:])
    if inside == PurePosixPath("obp/policy/conf/prior_bts.yaml"):
        return PurePosixPath(inside.name)
    if inside.suffix == ".csv" and inside.is_relative_to("obp/dataset/obd"):
        return inside.relative_to("obp/dataset/obd")
    return None


def unpack(archive: Path, out: Path) -> None:
    """Have the dataset's files under `raw` in `out`; those that are there are left as they are.

    Raises:
        CommandError: A member of the archive would land elsewhere, or is no plain file.
    """
    raw = raw_dir(out)
    with tarfile.open(archive) as members:
        for member in members:
            place = _place(member.name)
            if place is None:
                continue
            if ".." in place.parts or place.is_absolute() or not member.isfile():
                raise CommandError(f"{archive}: refused to unpack {member.name}")
            target = raw / place
            content = members.extractfile(member)
            if target.exists() or content is None:
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            beside = target.with_name(f".{target.name}.{os.getpid()}.tmp")
            beside.write_bytes(content.read())
            beside.replace(target)
