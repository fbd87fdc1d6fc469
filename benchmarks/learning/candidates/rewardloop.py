"""Our own models, driven as a library: one sample a round, one reward a round."""

from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.learning.adapter import Candidate, Factory, Setting
from learners.model import Features, Rewards
from learners.models import make_model


class Ours:
    """A model of the service; a miss is a reward of weight -1, as an outcome like `dismiss` gives."""

    def __init__(
        self, model_type: str, setting: Setting, offers: int, features: int, seed: int, every: int
    ) -> None:
        half_life = setting.get("half_life", 0)
        config: dict[str, Any] = {name: one for name, one in setting.items() if name != "half_life"}
        config |= {name: one == "yes" for name, one in config.items() if one in ("yes", "no")}
        if half_life:
            config["halfLife"] = {"events": half_life}
        self._model = make_model(model_type, config)
        self._offers = [f"o{i}" for i in range(offers)]
        self._names = [f"f{j}" for j in range(features)]
        self._rng = np.random.default_rng(seed)
        self._every = every
        self._waiting: list[tuple[str, float, Features]] = []

    def choose(self, x: NDArray[np.float64]) -> int:
        """Return the offer that one sample likes best; chance decides between equals and when to explore."""
        offers = len(self._offers)
        if self._rng.random() < self._model.exploration():
            return int(self._rng.integers(offers))
        row = dict(zip(self._names, x.tolist(), strict=True))
        scores = self._model.sample(self._rng, row, self._offers, [None] * offers, 1)[0]
        return int(self._rng.choice(np.flatnonzero(scores == scores.max())))

    def learn(self, x: NDArray[np.float64], offer: int, reward: int) -> None:
        """Learn, at the latest when `every` rewards have come."""
        row = dict(zip(self._names, x.tolist(), strict=True))
        self._waiting.append((self._offers[offer], 1.0 if reward else -1.0, row))
        if len(self._waiting) < self._every:
            return
        offers, weights, rows = zip(*self._waiting, strict=True)
        n = len(offers)
        self._model.update(
            Rewards(offers, [None] * n, np.array(weights), np.full(n, np.nan), np.zeros(n, np.int64), rows)
        )
        self._waiting.clear()


def _factory(model_type: str, every: int = 1) -> Factory:
    return lambda setting, offers, features, seed: Ours(model_type, setting, offers, features, seed, every)


def _grid(fixed: Setting, **values: tuple[Any, ...]) -> list[Setting]:
    """Return every combination of the values, beside what is fixed."""
    return [{**fixed, **dict(zip(values, one, strict=True))} for one in product(*values.values())]


def _dense(
    model_type: str, explore: tuple[float, ...], precision: tuple[int, ...], every: int = 1, **more: str
) -> Candidate:
    fixed = {"dim": 17, "normalize": "no", **more}
    return Candidate(
        model_type,
        _factory(model_type, every),
        plain=_grid(fixed, explore=explore, priorPrecision=precision),
        forgetting=_grid(fixed, explore=explore, priorPrecision=precision, half_life=(1700, 2500)),
        note=f"learns every {every} rounds" if every > 1 else "",
    )


def _simple(model_type: str, note: str = "", **values: tuple[Any, ...]) -> Candidate:
    return Candidate(
        model_type,
        _factory(model_type),
        plain=_grid({}, **values),
        forgetting=_grid({}, **values, half_life=(1500, 4000)),
        note=note,
    )


NO_FEATURES = "does not look at the customer"
NO_EXPLORATION = "does not explore"
CANDIDATES = [
    _dense("lin_ts", (0.05, 0.1, 0.2), (1, 10), optimistic="yes"),
    _dense("lin_ucb", (0.1, 0.3, 0.6), (1, 10)),
    _dense("logistic_ts", (0.1, 0.2, 0.3), (3, 6), every=5, optimistic="yes"),
    _simple("online_learner", NO_EXPLORATION, learningRate=(0.1, 0.3, 0.6), dim=(16384,)),
    _simple("bayesian", NO_EXPLORATION, pooling=(0, 30)),
    _simple("thompson_bandit", NO_FEATURES),
    _simple("epsilon_greedy", NO_FEATURES, epsilon=(0.05, 0.2)),
    _simple("ucb", NO_FEATURES, variant=("ucb1", "kl_ucb"), explore=(0.3, 1.0)),
    _simple("gaussian_ts", NO_FEATURES),
    Candidate("scorecard", _factory("scorecard"), plain=[{}], note="no rules: chance"),
]
