"""Learning and deciding in one process, beside other libraries on the same outcomes, taking turns.

Rates are per second of CPU time, with one thread, so that a busy machine disturbs neither side. Ours learn from
batches as a chunk of the log gives them: features by name, not yet looked at.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.learning.peers import DEFAULT, failure_of, python_of
from benchmarks.learning.registry import LIBRARIES, Library
from benchmarks.speed.side import BATCH, TAUGHT, Data, each, timed
from benchmarks.speed.table import Row, Series, side_by_side
from learners.bandits import BanditFold
from learners.model import Features, Rewards
from learners.models import make_model
from learners.policy import Policy
from storage.entry import DecisionPoint, Entry, ModelChange, Outcome, Resolution, pack_entry, unpack_entry

ROOT = Path(__file__).parents[2]
OFFERS = 100
FEATURES = 32
"""The bias included: 31 numbers and a constant."""
REPEATS = 5
PEERS = ("gittins", "river", "bayesianbandits", "vowpalwabbit", "mabwiser")
ROWS = {"ours": 40_960, "floor": 20_480, "gittins": 20_480, "river": 10_240}
"""Outcomes a run learns; enough for some tenths of a second at each library's pace."""
FEWEST = 1024
DECIDED = {"ours": 10_000, "floor": 5_000, "gittins": 2_000}
LEAST = 300
"""Decisions a run makes by those that take milliseconds for each."""
SMALL = 4
"""A quick run is this much shorter."""


@dataclass(frozen=True)
class Peer:
    """A library's process and what it can do, by task."""

    library: str
    process: subprocess.Popen[str]
    able: dict[str, list[str]]

    def rate(self, task: str, name: str, rows: int) -> float:
        """Return rows a second.

        Raises:
            RuntimeError: The library failed.
        """
        if self.process.stdin is None or self.process.stdout is None:
            raise RuntimeError(f"{self.library} has no pipes")
        self.process.stdin.write(json.dumps({"task": task, "name": name, "rows": rows}) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline() or '{"error": "it ended"}')
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return float(answer["rate"])


def rows(quick: bool = False) -> list[Row]:  # noqa: FBT001, FBT002 - the switch of every part of the suite
    """Return the rows of learning and deciding; `quick` is a rough look in a tenth of the time."""
    data = outcomes(ROWS["ours"] // (SMALL if quick else 1))
    with ExitStack() as stack:
        stack.enter_context(threadpool_limits(1))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        np.savez(folder / "outcomes.npz", x=data.x, offers=data.offers, rewards=data.rewards)
        peers, missing = _peers(stack, folder / "outcomes.npz")
        measured = _Measured(data, peers, missing, quick=quick)
        return [measured.contextual(), measured.beta(), measured.decide()]


def outcomes(n: int, seed: int = 3) -> Data:
    """Return n outcomes of a world in which each offer has weights of its own."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, FEATURES - 1))
    offers = rng.integers(0, OFFERS, n)
    margins = (x * (rng.standard_normal((OFFERS, FEATURES - 1)) / 8)[offers]).sum(axis=1) - 1
    return Data(x, offers, (rng.random(n) < 1 / (1 + np.exp(-margins))).astype(np.int64))


def batches(data: Data, *, features: bool) -> list[Rewards]:
    """Return outcomes as batches that no model has seen."""
    parts = []
    empty: Features = {}
    rows: Sequence[Features] = data.dicts if features else [empty] * len(data.x)
    for start in range(0, len(data.offers), BATCH):
        cut = slice(start, start + BATCH)
        offers = [f"o{offer}" for offer in data.offers[cut].tolist()]
        n = len(offers)
        weights = np.where(data.rewards[cut] > 0, 1.0, -1.0)
        times = np.arange(start, start + n, dtype=np.int64)
        parts.append(Rewards(offers, [None] * n, weights, np.full(n, np.nan), times, rows[cut]))
    return parts


def entries(data: Data) -> list[Entry]:
    """Return outcomes as a log's entries, read as a learner reads them, from position 2 on."""
    packed = []
    for i, (x, offer, reward) in enumerate(
        zip(data.dicts, data.offers.tolist(), data.rewards.tolist(), strict=True)
    ):
        outcome, classification = ("click", "positive") if reward else ("dismiss", "negative")
        body = Outcome("t", f"i{i}", "c", outcome, classification, "inbound", delivery=False)  # type: ignore[arg-type]
        resolution = Resolution(f"o{offer}", "cr", "ch", None, None, "", "", "", None)
        packed.append(pack_entry(Entry(i + 2, i, body, resolution, DecisionPoint(i, dict(x)))))
    return [unpack_entry(one) for one in packed]


def learned(model_type: str, data: Data, *, features: bool, read: bool = False) -> float:
    """Return how many outcomes a second a new model learns, batch by batch; `read`: columns were made before."""
    model, parts = make_model(model_type, {}), batches(data, features=features)
    if read:
        for part in parts:
            _ = part.table

    def work() -> None:
        for part in parts:
            model.update(part)

    return timed(len(data.offers), work)


def folded(model_type: str, log: Sequence[Entry]) -> float:
    """Return how many entries a second the whole fold applies: rewards are made, predicted, scored and learned."""
    fold = BanditFold()
    fold.apply([Entry(1, 0, ModelChange("t", "m", "k", model_type, "champion", "{}"))])

    def work() -> None:
        for start in range(0, len(log), BATCH):
            fold.apply(log[start : start + BATCH])

    return timed(len(log), work)


def decided(model_type: str, data: Data, n: int) -> float:
    """Return how many decisions a second a model that has learned makes, with propensities."""
    model = make_model(model_type, {})
    for part in batches(data.first(TAUGHT), features=True):
        model.update(part)
    policy, rng = Policy(model, 0, TAUGHT), np.random.default_rng(0)
    offers, categories = [f"o{i}" for i in range(OFFERS)], [None] * OFFERS
    asked = data.first(n).dicts
    policy.rank(rng, asked[0], offers, categories, 1)  # solves what was learned, once a state
    return each(lambda x: policy.rank(rng, x, offers, categories, 1), asked)


class _Measured:
    """One run of the suite's part."""

    def __init__(self, data: Data, peers: Sequence[Peer], missing: dict[str, str], *, quick: bool) -> None:
        self._data = data
        self._peers = peers
        self._missing = missing
        self._repeats = 3 if quick else REPEATS
        self._shrink = SMALL if quick else 1

    def contextual(self) -> Row:
        log = entries(self._data)
        return self._row(
            "fold-contextual",
            f"learn, {OFFERS} offers × {FEATURES} features (lin_ts)",
            "outcomes/s",
            400_000,
            lambda: learned("lin_ts", self._data, features=True),
            {
                "lin_ts, features read before": lambda: learned("lin_ts", self._data, features=True, read=True),
                "whole fold from entries, lin_ts": lambda: folded("lin_ts", log),
            },
        )

    def beta(self) -> Row:
        log = entries(self._data)
        return self._row(
            "fold-beta",
            f"learn, {OFFERS} Beta arms (thompson_bandit)",
            "outcomes/s",
            3_000_000,
            lambda: learned("thompson_bandit", self._data, features=False),
            {"whole fold from entries, thompson_bandit": lambda: folded("thompson_bandit", log)},
        )

    def decide(self) -> Row:
        n = DECIDED["ours"] // self._shrink
        return self._row(
            "decide",
            f"decide 1 of {OFFERS} offers × {FEATURES} features (lin_ucb)",
            "decisions/s",
            40_000,
            lambda: decided("lin_ucb", self._data, n),
            {"lin_ts, propensities of 100 draws": lambda: decided("lin_ts", self._data, n // SMALL)},
        )

    def _row(
        self,
        key: str,
        what: str,
        unit: str,
        target: int,
        ours: Callable[[], float],
        more: dict[str, Callable[[], float]],
    ) -> Row:
        notes = dict(self._missing)
        others = dict(self._others(key, notes))
        runs = side_by_side(self._repeats, ours, *more.values(), *others.values())
        series = [Series(name, one) for name, one in zip(["ours", *more, *others], runs, strict=True)]
        notes |= {one.name: f"{one.median:,.0f} {unit}" for one in series[1 : len(more) + 1]}
        median = series[0].median
        return Row(
            key, what, unit, series[0], series[len(more) + 1 :], f"≥ {target:,}", median, median >= target, notes
        )

    def _others(self, key: str, notes: dict[str, str]) -> Iterator[tuple[str, Callable[[], float]]]:
        """Yield what the peers can do of a task; one that fails at the first try goes to the notes."""
        for peer in self._peers:
            known, least = (DECIDED, LEAST) if key == "decide" else (ROWS, FEWEST)
            n = known.get(peer.library, least) // self._shrink
            for name in peer.able.get(key, []):
                label = f"{peer.library} {name}"
                try:
                    peer.rate(key, name, n)
                except RuntimeError as error:
                    notes[label] = f"failed: {error}"
                    continue
                yield label, lambda peer=peer, name=name, n=n: peer.rate(key, name, n)  # type: ignore[misc]


def _peers(stack: ExitStack, data: Path) -> tuple[list[Peer], dict[str, str]]:
    """Start the libraries' processes; return them, and why others are missing."""
    found, missing = [], {}
    folder = ROOT / DEFAULT
    libraries = [one for one in LIBRARIES if one.name in PEERS]
    for library in [Library("floor", "benchmarks.speed.sides.floor"), *libraries]:
        why = failure_of(library, folder)
        if why is not None:
            missing[library.name] = why
            continue
        process = stack.enter_context(_started(library, folder, data))
        stack.callback(process.terminate)
        line = process.stdout.readline() if process.stdout else ""
        if line:
            found.append(Peer(library.name, process, json.loads(line)))
        else:
            missing[library.name] = "it did not start"
    return found, missing


def _started(library: Library, folder: Path, data: Path) -> subprocess.Popen[str]:
    one_thread = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    return subprocess.Popen(
        [python_of(library, folder), "-m", "benchmarks.speed.side", f"benchmarks.speed.sides.{library.name}", data],
        cwd=ROOT,
        env={**os.environ, **one_thread, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
