"""A log on disk as an evaluation needs it."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from learners.errors import EvaluationError
from learners.evaluation.joining import Join
from learners.evaluation.logged import Logged
from learners.evaluation.rules import RewardRule
from storage.log_source import rows_of
from storage.public_log import BadLine

TOLD: Final = 10_000
"""Lines between two words about progress."""


def read_logged(
    path: Path,
    *,
    reward: RewardRule = "max",
    window_ms: int | None = None,
    columns: Sequence[str] = (),
    tenant: str | None = None,
    on_bad: Callable[[BadLine], None] | None = None,
    advance: Callable[[int], None] = lambda _: None,
) -> Logged:
    """Return a log with its decisions joined to what came of them.

    An outcome belongs to the decision that its `recommendationId` and `rank` name; without a rank to the one offer
    shown, or to the one of its `offerId`. Neutral outcomes are no answers.

    Args:
        path: A file of the public log format, a folder of them, or an archive.
        reward: Which of several outcomes of a row counts.
        window_ms: How long an answer may take; None: until the log ends. Decisions whose window had not passed when
            the log ended are left out; the others earn 0 if they have no outcome.
        columns: Fields of the decision lines that hold a policy's probabilities.
        tenant: Whose lines to take, where the log has several.
        on_bad: Is given each line that breaks the format, which is left out; without it the first ends all.
        advance: Is told now and then how many lines have been read.

    Raises:
        LogError: The log cannot be read.
        EvaluationError: It has no decisions to evaluate, or those of several tenants.
    """
    join = Join(columns, tenant, window_ms)
    for row in rows_of(path, tenant):
        try:
            join.take(row)
        except BadLine as bad:
            if on_bad is None:
                raise
            on_bad(bad)
            join.counts.skipped += 1
        join.counts.lines += 1
        if join.counts.lines % TOLD == 0:
            advance(join.counts.lines)
    logged = join.logged(reward, path.name)
    if logged.facts.too_young and not len(logged):
        raise EvaluationError(f"{path}: no decision's window had passed when the log ended, at {logged.facts.last}")
    if not len(logged):
        raise EvaluationError(f"{path}: has no decisions{f' of tenant {tenant}' if tenant else ''}")
    return logged
