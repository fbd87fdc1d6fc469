"""River: online logistic regression, LinUCB and Beta arms, each row by row as it ships."""

from __future__ import annotations

from river import bandit, linear_model, proba

from benchmarks.speed.side import TAUGHT, Data, Runs, each


def _logistic(data: Data) -> float:
    models = [linear_model.LogisticRegression() for _ in range(data.arms)]

    def step(offer: int, x: dict[str, float], reward: int) -> None:
        models[offer].learn_one(x, reward)

    return each(step, data.offers.tolist(), data.dicts, data.rewards.tolist())


def _policy(data: Data) -> bandit.LinUCBDisjoint:
    policy = bandit.LinUCBDisjoint(alpha=1.0, beta=1.0, seed=1)
    policy.pull(list(range(data.arms)), context=data.dicts[0])
    return policy


def _lin_ucb(data: Data) -> float:
    return each(_policy(data).update, data.offers.tolist(), data.dicts, data.rewards.tolist())


def _beta(data: Data) -> float:
    policy = bandit.ThompsonSampling(reward_obj=proba.Beta(), seed=1)
    policy.pull(list(range(data.arms)))
    return each(policy.update, data.offers.tolist(), data.rewards.tolist())


def _decide(data: Data) -> float:
    policy, arms = _policy(data), list(range(data.arms))
    rows = list(zip(data.offers.tolist(), data.dicts, data.rewards.tolist(), strict=True))
    for i in range(TAUGHT):
        policy.update(*rows[i % len(rows)])
    return each(lambda x: policy.pull(arms, context=x), data.dicts)


RUNS: Runs = {
    "fold-contextual": {"LogisticRegression, one an offer": _logistic, "LinUCBDisjoint": _lin_ucb},
    "fold-beta": {"ThompsonSampling": _beta},
    "decide": {"LinUCBDisjoint": _decide},
}
