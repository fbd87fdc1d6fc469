"""A process that plays jobs in a library's own Python."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).resolve().parents[2]
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
"""Every run has one core, so that the seconds of the table compare."""


class PlayerDied(Exception):
    """The process ended before it answered; its last words are the message."""


class Player:
    """A running `runner.py`.

    Attributes:
        hello: What it told at its start: versions and candidates.

    Raises:
        PlayerDied: The library could not be imported.
    """

    def __init__(self, python: Path, module: str, packages: tuple[str, ...]) -> None:
        self._stderr = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed with the process
        self._process = subprocess.Popen(
            [str(python.absolute()), "-m", "benchmarks.learning.runner", module, *packages],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            text=True,
            cwd=ROOT,
            env=os.environ | ONE_THREAD,
        )
        self.hello = self._read()

    def ask(self, job: dict[str, Any]) -> dict[str, Any]:
        """Plays one job and waits for its result.

        Raises:
            PlayerDied: It crashed.
        """
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(job) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError as error:
            raise PlayerDied(self._last_words()) from error
        return self._read()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise PlayerDied(self._last_words())
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _last_words(self) -> str:
        code = self._process.wait()
        self._stderr.seek(0)
        words = self._stderr.read().strip().splitlines()
        return (words[-1] if words else f"ended with status {code}").replace(str(ROOT), ".")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
        self._stderr.close()
