"""How a posterior narrows, and what forgetting is worth after a change: Thompson sampling over three offers."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from benchmarks.pictures.figure import Line, Panel, draw
from learners.model import Model, Rewards
from learners.models import make_model

OFFERS: Final = ("a", "b", "c")
LOOKS: Final = (30, 300, 3000)
"""Customers after which the beliefs are drawn."""
RATES: Final = (0.10, 0.15, 0.25)
MOST: Final = 0.5
"""Where the axis of the beliefs ends."""
BEFORE: Final = (0.20, 0.10, 0.05)
AFTER: Final = (0.05, 0.10, 0.20)
CUSTOMERS: Final = 10_000
WINDOW: Final = 250
"""Customers that a point of a line is the mean of."""
RUNS: Final = 20
LIVES: Final[Sequence[tuple[str, dict[str, Any]]]] = (
    ("never forgets", {}),
    ("half-life 2,000 rewards", {"halfLife": {"events": 2000}}),
    ("half-life 300 rewards", {"halfLife": {"events": 300}}),
)


def serve(model: Model, rates: NDArray[np.float64], seed: int) -> Iterator[int]:
    """Show each customer the offer that one draw likes best, learn the answer, and yield the offer's place."""
    rng = np.random.default_rng(seed)
    none = [None] * len(OFFERS)
    for chances in rates:
        shown = int(model.sample(rng, {}, OFFERS, none, 1)[0].argmax())
        weight = np.array([1.0 if rng.random() < chances[shown] else -1.0])
        model.update(Rewards([OFFERS[shown]], [None], weight, np.full(1, np.nan), np.zeros(1, np.int64), [{}]))
        yield shown


def narrowing() -> str:
    """Return the picture of three posteriors after 30, 300 and 3,000 customers."""
    model = make_model("thompson_bandit", {})
    panels = []
    for customers, _ in enumerate(serve(model, np.tile(RATES, (LOOKS[-1], 1)), seed=3), 1):
        if customers in LOOKS:
            panels.append(_panel(model, customers))
    return draw(
        "Posteriors of three offers after 30, 300 and 3,000 customers",
        "The offer that sells best is shown most, so it is known best; what sells badly stays uncertain, cheaply.",
        panels,
    )


def _panel(model: Model, customers: int) -> Panel:
    xs = np.linspace(0, MOST, 151)
    arms = {arm.offer_id: arm for arm in model.arms()}
    densities = {
        offer: stats.beta(arm.parameters["alpha"], arm.parameters["beta"]).pdf(xs) for offer, arm in arms.items()
    }
    lines = [
        Line(f"{offer}: shown {arms[offer].pulls:,} times", OFFERS.index(offer), xs.tolist(), density.tolist())
        for offer, density in sorted(densities.items())
    ]
    top = max(float(density.max()) for density in densities.values())
    marks = [(rate, f"{offer} {rate:.2f}") for offer, rate in zip(OFFERS, RATES, strict=True)]
    title = f"After {customers:,} customers (dashed: the truth)"
    return Panel(title, "share that buys", (0, MOST), (0, top * 1.25), lines, marks, height=130, y_ticks=False)


def forgetting(pool: Executor) -> str:
    """Return the picture of three half-lives around a change of tastes."""
    runs = [[pool.submit(rates_met, config, seed) for seed in range(RUNS)] for _, config in LIVES]
    middles = [WINDOW * (n + 0.5) for n in range(CUSTOMERS // WINDOW)]
    lines = [
        Line(name, number, middles, np.mean([run.result() for run in runs[number]], axis=0).tolist())
        for number, (name, _) in enumerate(LIVES)
    ]
    lines.append(Line("the best offer", 6, [0, CUSTOMERS], [max(AFTER)] * 2))
    return draw(
        "Thompson sampling with and without a half-life",
        f"Mean of {RUNS} runs. After the change the worst of three offers is the best.",
        [
            Panel(
                f"Chance that the offer shown is bought (mean of {WINDOW} customers and {RUNS} runs)",
                "customers",
                (0, CUSTOMERS),
                (0, 0.22),
                lines,
                [(CUSTOMERS / 2, "the worst offer becomes the best")],
            )
        ],
    )


def rates_met(config: dict[str, Any], seed: int) -> NDArray[np.float64]:
    """Return the mean chance of what a model showed, for each window of customers."""
    rates = np.repeat([BEFORE, AFTER], CUSTOMERS // 2, axis=0)
    shown = list(serve(make_model("thompson_bandit", config), rates, seed))
    met: NDArray[np.float64] = rates[np.arange(CUSTOMERS), shown].reshape(-1, WINDOW).mean(axis=1)
    return met
