"""How far a log can be trusted about a policy, in numbers and in a sentence."""

import math
from typing import Final

import msgspec
import numpy as np

from learners.evaluation.logged import Flags, Logged
from learners.evaluation.policies import Behaviour
from learners.model import Floats

FEW: Final = 100.0
"""An effective sample smaller than this says next to nothing about rare rewards."""
LARGE_SHARE: Final = 0.05
"""One decision with more of the weight than this may turn the result around."""
GAP_SHARE: Final = 0.01
"""What the log never shows may be this much of what the policy shows, without a word."""
SURPRISING: Final = 4.0
"""Standard errors that a mean weight may be off 1: chance goes further once in 16,000 logs."""


class Diagnostics(msgspec.Struct, frozen=True, rename="camel"):
    """Whether a log can answer the question; all but `verdict` are None where nothing is known to weigh.

    Attributes:
        ess: Effective sample size, (Σ w)² / Σ w² (Kong 1992).
        mean_weight: Mean of the weights, 1 in expectation.
        max_weight: The largest.
        max_weight_share: Its share of the sum.
        support_gaps: Offers at a rank that the policy shows and the log never does.
        support_gap_share: How much of what the policy shows they are, in 0 … 1.
        matched: Share of the rows at which the policy shows what the log shows.
        rows_weighed: Rows with a weight.
        verdict: What all this means.
    """

    ess: float | None
    mean_weight: float | None
    max_weight: float | None
    max_weight_share: float | None
    support_gaps: int | None
    support_gap_share: float | None
    matched: float | None
    rows_weighed: int
    verdict: str


def diagnose(log: Logged, behaviour: Behaviour, usable: Flags) -> Diagnostics:
    """Return how far the log can be trusted about a policy, from the rows that are `usable`, (n,)."""
    rows = int(usable.sum())
    if not rows:
        return Diagnostics(None, None, None, None, None, None, None, 0, _NOTHING)
    weights = behaviour.weights[usable]
    total, squares = float(weights.sum()), float(np.square(weights).sum())
    gaps, gap_share = _gaps(log, behaviour.probabilities, usable)
    found = Diagnostics(
        ess=total**2 / squares if squares else 0.0,
        mean_weight=total / rows,
        max_weight=float(weights.max()),
        max_weight_share=float(weights.max()) / total if total else None,
        support_gaps=gaps,
        support_gap_share=gap_share,
        matched=float(behaviour.probabilities[log.chosen][usable].mean()),
        rows_weighed=rows,
        verdict="",
    )
    return msgspec.structs.replace(found, verdict=_verdict(found, weights, len(log)))


_NOTHING: Final = (
    "The log cannot answer this: no row has both a propensity and its candidates, so only predictions are judged."
)


def _gaps(log: Logged, probabilities: Floats, usable: Flags) -> tuple[int, float]:
    """Return how many offers at a rank the policy shows and the log never does, and their share of its showing."""
    rows = np.repeat(usable, log.sizes)
    ranks = np.repeat(log.ranks, log.sizes)
    cells = ranks * len(log.offers) + log.candidates
    shown = np.isin(cells, cells[log.chosen[usable]])
    missing = rows & ~shown & (probabilities > 0)
    count = int(usable.sum())
    held = float(probabilities[rows & shown].sum())
    return len(np.unique(cells[missing])), min(max(1.0 - held / count, 0.0), 1.0)


def _verdict(found: Diagnostics, weights: Floats, rows: int) -> str:
    ess, mean, share = found.ess or 0.0, found.mean_weight or 0.0, found.max_weight_share or 0.0
    gap = found.support_gap_share or 0.0
    doubts = []
    if not mean:
        doubts.append("the log never shows what the policy would")
    elif gap > GAP_SHARE:
        doubts.append(
            f"{_percent(gap)} of what the policy would show is never shown by the log, and counts as a reward of 0"
        )
    if mean and ess < FEW:
        doubts.append(f"its {found.rows_weighed:,} rows are worth only {ess:,.1f} of the policy's own")
    if share > LARGE_SHARE and found.rows_weighed > 1:
        doubts.append(f"one row has {_percent(share)} of the weight")
    error = float(weights.std()) / math.sqrt(len(weights))
    if mean and gap <= GAP_SHARE and abs(mean - 1) > SURPRISING * error + 1e-9:
        doubts.append(
            f"weights average {mean:.3f} where they should average 1, so the propensities are not those it used"
        )
    left_out = rows - found.rows_weighed
    told = f" {left_out:,} rows without propensity or candidates are left out." if left_out else ""
    if doubts:
        return f"The log cannot answer this well: {'; '.join(doubts)}.{told}"
    return (
        f"The log can answer this: its {found.rows_weighed:,} rows are worth {ess:,.1f} of the policy's own.{told}"
    )


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
