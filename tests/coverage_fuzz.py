"""Fuzzing by coverage: bytes that lead into branches of `storage` where none has led before, by atheris.

`python -m tests.coverage_fuzz TARGET [options of libFuzzer]`; what it finds by and by is kept in build/fuzz/TARGET.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import atheris  # type: ignore[import-untyped]

with atheris.instrument_imports(include=["storage"]):
    from storage.entry import pack_entry, unpack_entry
    from storage.errors import DamagedEntry
    from storage.importers.dsjson import read_dsjson
    from storage.importers.obd import read_obd
    from tests.unit.storage import test_damaged_logs as damaged

_FOLDER: Final = TemporaryDirectory(prefix="fuzz-")


def _file(name: str, raw: bytes) -> Path:
    path = Path(_FOLDER.name) / name
    path.write_bytes(raw)
    return path


def entry(raw: bytes) -> None:
    """An entry of the log, as Redis and the archive hold it."""
    try:
        known = unpack_entry(raw)
    except DamagedEntry:
        return
    again = pack_entry(known)
    assert pack_entry(unpack_entry(again)) == again


def lines(raw: bytes) -> None:
    """A public log in lines, in each way that commands read it."""
    damaged.read_in_every_way(_file("log.ndjson", raw))


def dsjson(raw: bytes) -> None:
    """Vowpal Wabbit's lines."""
    path = _file("log.json", raw)
    damaged.refusal(lambda: [*read_dsjson(path)])
    damaged.refusal(lambda: [*read_dsjson(path, lambda _: None)])


def obd(raw: bytes) -> None:
    """A table of the Open Bandit Dataset."""
    path = _file("log.csv", raw)
    damaged.refusal(lambda: [*read_obd(path)])
    damaged.refusal(lambda: [*read_obd(path, lambda _: None)])


TARGETS: Final[dict[str, tuple[Callable[[bytes], None], tuple[bytes, ...]]]] = {
    "entry": (entry, damaged.PACKED),
    "lines": (lines, (damaged.NDJSON, *damaged.NDJSON.splitlines(keepends=True))),
    "dsjson": (dsjson, (damaged.DSJSON, *damaged.DSJSON.splitlines(keepends=True))),
    "obd": (obd, (damaged.OBD,)),
}


def main(target: str, *options: str) -> None:
    """Fuzz one target, beginning with what is right."""
    one_input, seeds = TARGETS[target]
    corpus = Path("build/fuzz") / target
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds):
        (corpus / f"seed-{number}").write_bytes(seed)
    atheris.Setup([sys.argv[0], str(corpus), f"-artifact_prefix={corpus}/found-", *options], one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
