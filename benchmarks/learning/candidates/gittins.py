"""Gittins: one engine with hashed features, epsilon-greedy, and forgetting built in."""

from __future__ import annotations

import gittins

from benchmarks.learning.adapter import Candidate, Setting, Vector


class _Gittins:
    """`decide` and `learn` with a clock that ticks once a round; the engine crosses context and offer itself."""

    def __init__(self, setting: Setting, offers: int, features: int, seed: int) -> None:
        self._state = gittins.create(
            bits=setting["bits"],
            horizon=10.0,
            epsilon=setting["epsilon"],
            forgetfulness=setting["forgetfulness"],
        )
        self._names = [f"f{j}" for j in range(features)]
        self._candidates = [(f"o{offer}", {}) for offer in range(offers)]
        self._salt = f"seed-{seed}"
        self._clock = 0.0
        self._decision = ""

    def choose(self, x: Vector) -> int:
        context = dict(zip(self._names, x.tolist(), strict=True))
        record = gittins.decide(self._state, context, self._candidates, self._clock, self._salt)
        self._decision = record.decision_id
        return int(record.chosen)

    def learn(self, x: Vector, offer: int, reward: int) -> None:
        del x, offer
        gittins.learn(self._state, self._decision, float(reward), self._clock)
        self._clock += 1.0


def _grid(forgetfulness: list[float]) -> list[Setting]:
    return [
        {"bits": bits, "epsilon": epsilon, "forgetfulness": rate}
        for bits in (12, 16)
        for epsilon in (0.005, 0.02, 0.05)
        for rate in forgetfulness
    ]


CANDIDATES = [
    Candidate("engine", _Gittins, plain=_grid([1.0]), forgetting=_grid([0.9995, 0.998, 0.995, 0.99])),
]
