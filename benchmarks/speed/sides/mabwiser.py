"""MABWiser: LinUCB, in batches, since a fit takes milliseconds for each offer however few rows it brings."""

from __future__ import annotations

from mabwiser.mab import MAB, LearningPolicy

from benchmarks.speed.side import BATCH, TAUGHT, Data, Runs, each, timed


def _learn(data: Data) -> float:
    policy = MAB(list(range(data.arms)), LearningPolicy.LinUCB(alpha=1.0, l2_lambda=1.0), seed=1)

    def work() -> None:
        for start in range(0, len(data.offers), BATCH):
            cut = slice(start, start + BATCH)
            fit = policy.partial_fit if start else policy.fit
            fit(decisions=data.offers[cut], rewards=data.rewards[cut], contexts=data.wide[cut])

    return timed(len(data.offers), work)


def _decide(data: Data) -> float:
    policy = MAB(list(range(data.arms)), LearningPolicy.LinUCB(alpha=1.0, l2_lambda=1.0), seed=1)
    known = data.first(TAUGHT)
    policy.fit(decisions=known.offers, rewards=known.rewards, contexts=known.wide)
    return each(lambda x: policy.predict(x[None, :]), data.wide)


RUNS: Runs = {"fold-contextual": {"LinUCB": _learn}, "decide": {"LinUCB": _decide}}
