"""Several Ray nodes on one machine, as `ray start` makes them, and how one of them dies."""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psutil

from tests.service import free_port, until

RAY = str(Path(sys.executable).with_name("ray"))


@dataclass(frozen=True)
class Node:
    """One node: `ray start --block` with all that runs below it."""

    started: "subprocess.Popen[bytes]"

    @property
    def process(self) -> psutil.Process:
        return psutil.Process(self.started.pid)

    def processes(self, title: str) -> list[psutil.Process]:
        """Return those of its processes whose title starts so."""
        children = self.process.children(recursive=True)
        return [one for one in children if _title(one).startswith(title)]

    def kill(self) -> None:
        """End all of it at once, as a machine that loses power."""
        for one in (*self.process.children(recursive=True), self.process):
            one.kill()
        self.started.wait(10)


def _title(process: psutil.Process) -> str:
    try:
        return "".join(process.cmdline()[:1])
    except psutil.Error:
        return ""


@contextmanager
def nodes(folder: Path, environment: Mapping[str, str], workers: int) -> Iterator[tuple[str, list[Node]]]:
    """Run a head and some workers while the block lasts; yield the address and the nodes, the head first."""
    address = f"127.0.0.1:{free_port()}"
    head = ["--head", "--port", address.rpartition(":")[2], "--include-dashboard=false"]
    started: list[Node] = []
    try:
        for number, options in enumerate([head, *[[f"--address={address}"]] * workers]):
            started.append(_start(folder / f"node-{number}.txt", environment, options))
            until(partial(_up, folder, number), 60, f"node {number} is up")
        yield address, started
    finally:
        for node in reversed(started):
            if node.started.poll() is None:
                node.kill()


def _start(log: Path, environment: Mapping[str, str], options: list[str]) -> Node:
    several = {
        **environment,
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "1",
    }  # with 0 Ray keeps to loopback, and to one node
    command = [RAY, "start", "--block", "--node-ip-address=127.0.0.1", "--num-cpus=2", "--disable-usage-stats"]
    command += ["--min-worker-port=0", "--max-worker-port=0"]  # not Ray's own range: the tests' is in it
    with log.open("wb") as out:
        return Node(subprocess.Popen([*command, *options], env=several, stdout=out, stderr=out))


def _up(folder: Path, number: int) -> bool:
    return "Ray runtime started" in (folder / f"node-{number}.txt").read_text()
