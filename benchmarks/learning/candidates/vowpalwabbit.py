"""Vowpal Wabbit: one model over action-dependent features, so offers learn from each other."""

from __future__ import annotations

import numpy as np
import vowpalwabbit

from benchmarks.learning.adapter import Candidate, Setting, Vector

BASE = "--cb_explore_adf --quiet --quadratic ca -b 16 --cb_type mtr -l {rate} --power_t {power_t}"
"""The context alone is shared by all offers, context x offer is each one's own; as VW's tutorials set it up."""


class _VowpalWabbit:
    """The Workspace API, examples as text, the offer drawn from the probabilities that VW gives."""

    def __init__(self, setting: Setting, offers: int, features: int, seed: int) -> None:
        del features
        arguments = BASE.format(**setting)
        self._workspace = vowpalwabbit.Workspace(f"{arguments} --random_seed {seed + 1} {setting['explore']}")
        self._rng = np.random.default_rng(seed)
        self._actions = [f"|a o{offer}" for offer in range(offers)]
        self._context = ""
        self._chance = 0.0

    def choose(self, x: Vector) -> int:
        self._context = "shared |c " + " ".join(f"f{j}:{value:.5f}" for j, value in enumerate(x))
        chances = np.array(self._workspace.predict([self._context, *self._actions]))
        offer = int(np.searchsorted(np.cumsum(chances), self._rng.random() * chances.sum(), side="right"))
        offer = min(offer, len(chances) - 1)
        self._chance = float(chances[offer])
        return offer

    def learn(self, x: Vector, offer: int, reward: int) -> None:
        del x
        labelled = self._actions.copy()
        labelled[offer] = f"0:{-reward}:{self._chance:.6f} {labelled[offer]}"
        self._workspace.learn([self._context, *labelled])


def _candidate(name: str, explorations: list[str], rates: list[float]) -> Candidate:
    """VW's updates shrink their rate as data come; `--power_t 0` keeps it, which is VW's way to forget."""

    def grid(rates: list[float], power_t: float) -> list[Setting]:
        return [{"explore": e, "rate": r, "power_t": power_t} for e in explorations for r in rates]

    return Candidate(name, _VowpalWabbit, plain=grid(rates, 0.5), forgetting=grid([3.0, 10.0], 0.0))


CANDIDATES = [
    _candidate("epsilon", ["--epsilon 0.05"], [5.0, 10.0, 20.0]),
    _candidate("squarecb", ["--squarecb --gamma_scale 10", "--squarecb --gamma_scale 30"], [2.0, 5.0]),
    _candidate(
        "squarecb, logistic loss", ["--squarecb --gamma_scale 30 --loss_function logistic"], [5.0, 10.0, 20.0]
    ),
    _candidate("cover", ["--cover 4 --epsilon 0.02 --nounif"], [1.0, 2.0, 5.0]),
    _candidate("bag", ["--bag 4 --greedify --epsilon 0.02"], [5.0, 10.0]),
]
