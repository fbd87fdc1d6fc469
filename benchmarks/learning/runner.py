"""Plays policies of one library; runs in that library's own virtual environment.

Reads one job a line on standard input and answers one result a line on standard output. It imports numpy and the
library, nothing of ours but this folder, so that any virtual environment can run it.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from typing import Any, TextIO

import numpy as np

from benchmarks.learning.adapter import Candidate, Policy
from benchmarks.learning.environment import FEATURES, OFFERS, Environment, simulate


def play(policy: Policy, world: Environment) -> dict[str, float]:
    """Lets a policy meet every round once, rewards at once; what it earned, and what it could expect to earn."""
    reward, expected = 0, 0.0
    began = time.process_time()
    for x, probability, earned in zip(world.features, world.probability, world.reward, strict=True):
        offer = policy.choose(x)
        hit = int(earned[offer])
        policy.learn(x, offer, hit)
        reward += hit
        expected += probability[offer]
    return {
        "reward": reward,
        "expected": round(float(expected), 2),
        "regret": round(float(world.probability.max(axis=1).sum() - expected), 2),
        "cpu_s": round(time.process_time() - began, 2),
    }


def run(job: dict[str, Any], candidates: dict[str, Candidate], worlds: dict[tuple[int, int], Environment]) -> Any:
    """Plays one job: a candidate at a setting on a seed's environment, made once a process."""
    key = (job["seed"], job["rounds"])
    if key not in worlds:
        worlds[key] = simulate(*key)
    world = worlds[key]
    candidate = candidates[job["candidate"]]
    policy = candidate.factory(job["setting"], OFFERS, FEATURES, job["seed"])
    return job | {"digest": world.digest} | play(policy, world)


def main(module: str, packages: list[str]) -> None:
    """Answers jobs until standard input ends; the first line written tells the versions met and the candidates.

    Args:
        module: Where `CANDIDATES` of the library stands.
        packages: Distributions whose versions are told.
    """
    out = _own_stdout()
    candidates = {c.name: c for c in importlib.import_module(module).CANDIDATES}
    offered = [
        {"name": c.name, "plain": list(c.plain), "forgetting": list(c.forgetting), "note": c.note}
        for c in candidates.values()
    ]
    _say(out, {"versions": {name: _version(name) for name in [*packages, "numpy"]}, "candidates": offered})
    worlds: dict[tuple[int, int], Environment] = {}
    for line in sys.stdin:
        job = json.loads(line)
        try:
            with np.errstate(all="ignore"):
                answer = run(job, candidates, worlds)
        except Exception as error:  # noqa: BLE001 - a library's failure is a result, told in the table
            answer = job | {"error": f"{type(error).__name__}: {error}"}
        _say(out, answer)


def _own_stdout() -> TextIO:
    """Libraries print; what they print goes to standard error, and only results to standard output."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return out


def _say(out: TextIO, value: Any) -> None:
    out.write(json.dumps(value) + "\n")
    out.flush()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
