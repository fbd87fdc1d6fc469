"""River: LinUCB as it ships, and its online linear models with the exploration written here."""

from __future__ import annotations

import random

from river import bandit, linear_model, optim

from benchmarks.learning.adapter import Candidate, Setting, Vector


def _names(features: int) -> list[str]:
    return [f"f{j}" for j in range(features)]


class _LinUCB:
    """`river.bandit.LinUCBDisjoint`; the intercept is a feature that is always one."""

    def __init__(self, setting: Setting, offers: int, features: int, seed: int) -> None:
        self._policy = bandit.LinUCBDisjoint(
            alpha=setting["alpha"], beta=setting["beta"], smoothing=setting.get("smoothing"), seed=seed
        )
        self._offers = list(range(offers))
        self._names = [*_names(features), "one"]

    def _context(self, x: Vector) -> dict[str, float]:
        return dict(zip(self._names, [*x.tolist(), 1.0], strict=True))

    def choose(self, x: Vector) -> int:
        return int(self._policy.pull(self._offers, context=self._context(x)))

    def learn(self, x: Vector, offer: int, reward: int) -> None:
        self._policy.update(offer, self._context(x), reward)


class _Logistic:
    """`river.linear_model.LogisticRegression` under epsilon-greedy; a constant rate never stops forgetting.

    With `shared`, one model holds weights common to all offers beside each offer's own.
    """

    def __init__(self, setting: Setting, offers: int, features: int, seed: int) -> None:
        optimizer = getattr(optim, str(setting["optimizer"]))
        self._models = [
            linear_model.LogisticRegression(optimizer(setting["rate"]), l2=setting.get("l2", 0.0))
            for _ in range(1 if setting["shared"] else offers)
        ]
        self._shared = bool(setting["shared"])
        self._common = _names(features)
        self._own = [[f"{offer}:{j}" for j in [*range(features), "one"]] for offer in range(offers)]
        self._epsilon = float(setting["epsilon"])
        self._rng = random.Random(seed)  # noqa: S311 - exploration, not a secret

    def _row(self, values: list[float], offer: int) -> dict[str, float]:
        own = dict(zip(self._own[offer], [*values, 1.0], strict=True))
        return own | dict(zip(self._common, values, strict=True)) if self._shared else own

    def _model(self, offer: int) -> linear_model.LogisticRegression:
        return self._models[0 if self._shared else offer]

    def choose(self, x: Vector) -> int:
        offers = range(len(self._own))
        if self._rng.random() < self._epsilon:
            return self._rng.choice(offers)
        values = x.tolist()
        chances = [self._model(o).predict_proba_one(self._row(values, o))[True] for o in offers]
        best = max(chances)
        return self._rng.choice([o for o in offers if chances[o] == best])

    def learn(self, x: Vector, offer: int, reward: int) -> None:
        self._model(offer).learn_one(self._row(x.tolist(), offer), bool(reward))


def _logistic(name: str, shared: int) -> Candidate:
    def grid(optimizer: str, rates: list[float]) -> list[Setting]:
        return [
            {"optimizer": optimizer, "rate": rate, "epsilon": epsilon, "shared": shared}
            for rate in rates
            for epsilon in (0.01, 0.02)
        ]

    return Candidate(
        name,
        _Logistic,
        plain=grid("AdaGrad", [0.1, 0.3, 1.0]),
        forgetting=grid("SGD", [0.02, 0.05, 0.1]),
        note="epsilon-greedy written in the adapter",
    )


CANDIDATES = [
    Candidate(
        "LinUCBDisjoint",
        _LinUCB,
        plain=[{"alpha": a, "beta": b} for a, b in ((1.0, 1.0), (1.0, 10.0), (1.0, 100.0))],
        forgetting=[
            {"alpha": 1.0, "beta": beta, "smoothing": smoothing}
            for beta in (30.0, 100.0, 300.0)
            for smoothing in (0.98, 0.99)
        ],
    ),
    _logistic("LogisticRegression, an offer each", 0),
    _logistic("LogisticRegression, shared + own", 1),
]
