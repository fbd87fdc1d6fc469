"""The results file: what was played, where, and the lines that need no learner."""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.learning import environment
from benchmarks.learning.campaign import Plan, Result

NAME = "learning.json"


class Mismatch(Exception):
    """Results of another number of rounds or of other seeds cannot stand in the same table."""


def empty(plan: Plan) -> Result:
    """A results file without libraries: the environment and its baselines."""
    parameters = {
        "offers": environment.OFFERS,
        "features": environment.FEATURES,
        "binary_features": environment.BINARY,
        "correlation": environment.CORRELATION,
        "intercept": [environment.INTERCEPT_MEAN, environment.INTERCEPT_SD],
        "shared_sd": environment.SHARED_SD,
        "own_sd": environment.OWN_SD,
        "drift": "intercepts and own weights drawn anew at half time",
    }
    return {
        "rounds": plan.rounds,
        "seeds": list(plan.seeds),
        "environment": parameters,
        "baselines": _baselines(plan),
        "libraries": {},
    }


def load(folder: Path, plan: Plan) -> Result:
    """Earlier results that new ones go into, or an empty file.

    Raises:
        Mismatch: They are of another plan.
    """
    path = folder / NAME
    if not path.exists():
        return empty(plan)
    earlier: Result = json.loads(path.read_text())
    if (earlier["rounds"], earlier["seeds"]) != (plan.rounds, list(plan.seeds)):
        raise Mismatch(f"{path} holds {earlier['rounds']} rounds of seeds {earlier['seeds']}; choose another --out")
    return earlier


def save(folder: Path, results: Result) -> None:
    """Writes the file whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    fresh = folder / f"{NAME}.tmp"
    fresh.write_text(json.dumps(results, indent=1) + "\n")
    fresh.replace(folder / NAME)


def machine() -> dict[str, Any]:
    """What the seconds depend on."""
    return {"cores": os.cpu_count(), "machine": platform.machine(), "python": platform.python_version()}


def check_digests(results: Result, library: Result) -> None:
    """Makes a run an error if it met other draws than the baselines did."""
    known = {run["seed"]: run["digest"] for run in results["baselines"]["oracle"]}
    for policy in library.get("policies", []):
        for run in policy["runs"]:
            if run.get("digest", known[run["seed"]]) != known[run["seed"]]:
                run["error"] = "met other draws than the baselines did"


def _baselines(plan: Plan) -> dict[str, list[Result]]:
    """Rewards of those who know the truth or nothing, for each seed.

    The best fixed offer is the best in hindsight; uniform random is its exact mean, not one sample of it.
    """
    lines: dict[str, list[Result]] = {"oracle": [], "best fixed offer": [], "uniform random": []}
    for seed in plan.seeds:
        world = environment.simulate(seed, plan.rounds)
        chance, reward = world.probability, world.reward
        every, best = np.arange(plan.rounds), chance.argmax(axis=1)
        fixed = int(chance.sum(axis=0).argmax())
        top = float(chance[every, best].sum())
        rows = {
            "oracle": (int(reward[every, best].sum()), top),
            "best fixed offer": (int(reward[:, fixed].sum()), float(chance[:, fixed].sum())),
            "uniform random": (round(float(reward.mean(axis=1).sum()), 1), float(chance.mean(axis=1).sum())),
        }
        for name, (earned, expected) in rows.items():
            told = {"expected": round(expected, 2), "regret": round(top - expected, 2)}
            lines[name].append({"seed": seed, "digest": world.digest, "reward": earned} | told)
    return lines
