"""Small logs to evaluate, written in the public format."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np


def at(seconds: int) -> str:
    """Return a time some seconds after all logs begin."""
    return f"2026-03-16T{14 + seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.000Z"


def decision(n: int = 0, seconds: int = 0, **fields: Any) -> dict[str, Any]:
    """Return a decision: o1 of o1 and o2 at rank 1, by a coin."""
    shown = [{"rank": 1, "offerId": "o1", "propensity": 0.5}]
    ids = {"customerId": "c", "recommendationId": f"r{n}"}
    line = {"kind": "decision", "time": at(seconds), **ids, "candidates": ["o1", "o2"], "decisions": shown}
    return {**line, **fields}


def outcome(n: int = 0, seconds: int = 1, weight: float = 1.0, **fields: Any) -> dict[str, Any]:
    """Return an outcome for o1: a success that weighs something, or a failure."""
    ids = {"customerId": "c", "recommendationId": f"r{n}", "offerId": "o1"}
    kind = "positive" if weight > 0 else "negative"
    line = {"kind": "outcome", "time": at(seconds), **ids, "outcome": "x", "classification": kind, "weight": weight}
    return {**line, **fields}


def write(path: Path, lines: Sequence[Mapping[str, Any]]) -> Path:
    """Write lines as NDJSON."""
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def simulated(rounds: int, seed: int, rates: Sequence[float] = (0.1, 0.3, 0.6)) -> list[dict[str, Any]]:
    """Return a log of offers drawn by (0.5, 0.3, 0.2), each clicked at its rate; feature x says nothing."""
    rng = np.random.default_rng(seed)
    propensities = (0.5, 0.3, 0.2)
    names = [f"o{i}" for i in range(3)]
    lines: list[dict[str, Any]] = []
    for n in range(rounds):
        offer = int(rng.choice(3, p=propensities))
        shown = [{"rank": 1, "offerId": names[offer], "propensity": propensities[offer]}]
        lines.append(decision(n, n, candidates=names, decisions=shown, features={"x": float(rng.normal())}))
        won = float(rng.random() < rates[offer])
        lines.append(outcome(n, n, won, offerId=names[offer]))
    return lines
