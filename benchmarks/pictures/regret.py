"""What each of the ten model types misses, over 20,000 customers whose tastes change at half time."""

import json
from concurrent.futures import Executor
from pathlib import Path
from statistics import fmean
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.learning.candidates.rewardloop import CANDIDATES
from benchmarks.learning.environment import FEATURES, OFFERS, ROUNDS, simulate
from benchmarks.pictures.figure import Line, Panel, draw

RESULTS: Final = Path(__file__).parents[1] / "results" / "learning.json"
EVERY: Final = 200
"""Customers between two points of a line."""


def picture(pool: Executor) -> str:
    """Return the picture; settings and seeds are those of the benchmark's table, whose regret the lines end in."""
    results = json.loads(RESULTS.read_text(encoding="utf-8"))
    best = best_settings(results)
    runs = [
        pool.submit(play, name, one["setting"], seed) for name, one in best.items() for seed in results["seeds"]
    ]
    seeds = len(results["seeds"])
    curves = {
        name: np.mean([run.result() for run in runs[place * seeds : (place + 1) * seeds]], axis=0)
        for place, name in enumerate(best)
    }
    customers = list(range(0, ROUNDS + 1, EVERY))
    lines = [
        Line(f"{name} {curve[-1]:,.0f}", number, customers, curve.tolist())
        for number, (name, curve) in enumerate(curves.items())
    ]
    return draw(
        "Cumulative regret of the ten model types",
        f"Mean of {seeds} runs. Lower is better; the kink at half time is where tastes change.",
        [
            Panel(
                "Purchases missed so far, against the best offer for each customer (less is better)",
                "customers",
                (0, ROUNDS),
                (0, max(curve[-1] for curve in curves.values()) * 1.04),
                lines,
                [(ROUNDS / 2, "tastes change")],
                height=420,
            )
        ],
    )


def best_settings(results: dict[str, Any]) -> dict[str, Any]:
    """Return for each of our model types the entry of the table that missed least, the best type first."""
    ours = results["libraries"]["rewardloop"]["policies"]
    ranked = sorted(ours, key=regret_of)
    best: dict[str, Any] = {}
    for entry in ranked:
        best.setdefault(entry["policy"], entry)
    return best


def regret_of(entry: dict[str, Any]) -> float:
    """Return an entry's mean regret."""
    return fmean(run["regret"] for run in entry["runs"])


def play(name: str, setting: dict[str, Any], seed: int) -> NDArray[np.float64]:
    """Return the expected regret of one run after 0, EVERY, 2 EVERY … customers."""
    world = simulate(seed, ROUNDS)
    [candidate] = [one for one in CANDIDATES if one.name == name]
    policy = candidate.factory(setting, OFFERS, FEATURES, seed)
    missed = np.zeros(ROUNDS + 1)
    for n, (x, chances, earned) in enumerate(zip(world.features, world.probability, world.reward, strict=True), 1):
        offer = policy.choose(x)
        policy.learn(x, offer, int(earned[offer]))
        missed[n] = missed[n - 1] + chances.max() - chances[offer]
    return missed[::EVERY]
