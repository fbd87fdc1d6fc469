"""What obp says: makes the problems, answers them, and writes both for the other side.

Runs inside obp's own environment and imports nothing of Rewardloop: `python obp_side.py FOLDER`.
"""

from __future__ import annotations

import json
import logging
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np

SYNTHETIC_ROUNDS = 10_000
SYNTHETIC_ACTIONS = 10
SEEDS = (0, 1, 2)
FOLDS = 3


class _Nothing(types.ModuleType):
    """Stands for torch, which obp imports for its neural learners; none of them is used here."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})


for _name in ("torch", "torch.nn", "torch.nn.functional", "torch.optim", "torch.utils", "torch.utils.data"):
    sys.modules[_name] = _Nothing(_name)
    _parent, _, _own = _name.rpartition(".")
    if _parent:
        setattr(sys.modules[_parent], _own, sys.modules[_name])

from obp.dataset import (  # noqa: E402
    OpenBanditDataset,
    SyntheticBanditDataset,
    linear_behavior_policy,
    logistic_reward_function,
)
from obp.ope import (  # noqa: E402
    DirectMethod,
    DoublyRobust,
    DoublyRobustWithShrinkage,
    InverseProbabilityWeighting,
    RegressionModel,
    ReplayMethod,
    SelfNormalizedDoublyRobust,
    SelfNormalizedInverseProbabilityWeighting,
    SwitchDoublyRobust,
)
from obp.policy import BernoulliTS  # noqa: E402
from sklearn.linear_model import LogisticRegression  # noqa: E402

ESTIMATORS = {
    "replay": ReplayMethod(),
    "ips": InverseProbabilityWeighting(),
    "snips": SelfNormalizedInverseProbabilityWeighting(),
    "clipped_ips:lambda=3": InverseProbabilityWeighting(lambda_=3),
    "dm": DirectMethod(),
    "dr": DoublyRobust(),
    "sndr": SelfNormalizedDoublyRobust(),
    "switch_dr:tau=2": SwitchDoublyRobust(lambda_=2),
    "dros:lambda=5": DoublyRobustWithShrinkage(lambda_=5),
}


def open_bandit(behaviour: str) -> dict[str, Any]:
    """Return a log of the Open Bandit Dataset and the other policy's probabilities, (n, 80, 3)."""
    data = OpenBanditDataset(behavior_policy=behaviour, campaign="all")
    feedback = data.obtain_batch_bandit_feedback()
    rounds = len(feedback["action"])
    if behaviour == "random":
        other = BernoulliTS(n_actions=80, len_list=3, is_zozotown_prior=True, campaign="all", random_state=12345)
        policy = np.tile(other.compute_batch_action_dist(n_sim=100_000, n_rounds=1), (rounds, 1, 1))
    else:
        policy = np.full((rounds, 80, 3), 1 / 80)
    return {**feedback, "policy": policy, "truth": None, "len_list": 3}


def synthetic(seed: int, *, greedy: bool) -> dict[str, Any]:
    """Return a log with known truth; the policy follows the expected rewards, softly or greedily."""
    data = SyntheticBanditDataset(
        n_actions=SYNTHETIC_ACTIONS,
        dim_context=5,
        reward_type="binary",
        reward_function=logistic_reward_function,
        behavior_policy_function=linear_behavior_policy,
        random_state=seed,
    )
    feedback = data.obtain_batch_bandit_feedback(n_rounds=SYNTHETIC_ROUNDS)
    expected = feedback["expected_reward"]
    if greedy:
        policy = np.eye(SYNTHETIC_ACTIONS)[expected.argmax(axis=1)]
    else:
        policy = np.exp(5 * expected)
        policy /= policy.sum(axis=1, keepdims=True)
    truth = float((policy * expected).sum(axis=1).mean())
    position = np.zeros(SYNTHETIC_ROUNDS, dtype=int)
    return {**feedback, "position": position, "policy": policy[:, :, None], "truth": truth, "len_list": 1}


def answered(problem: dict[str, Any], name: str, folder: Path) -> dict[str, Any]:
    """Write a problem's arrays, and return the value by each estimator."""
    rounds = np.arange(len(problem["action"]))
    keys = {"context", "action", "reward", "position", "pscore"}
    log = {key: problem[key] for key in keys}
    regression = RegressionModel(
        n_actions=problem["n_actions"],
        len_list=problem["len_list"],
        action_context=problem["action_context"],
        base_model=LogisticRegression(max_iter=1000, random_state=12345),
    )
    predicted = regression.fit_predict(**log, n_folds=FOLDS, random_state=12345)
    policy = problem["policy"]
    np.savez_compressed(
        folder / f"{name}.npz",
        **log,
        action_context=problem["action_context"],
        policy=policy[rounds, :, problem["position"]],
        predicted=predicted[rounds, :, problem["position"]],
    )
    told = {key: log[key] for key in ("action", "reward", "position", "pscore")}
    values = {
        text: estimator.estimate_policy_value(**told, action_dist=policy, estimated_rewards_by_reg_model=predicted)
        for text, estimator in ESTIMATORS.items()
        if text != "replay" or _deterministic(policy)
    }
    return {"truth": problem["truth"], "values": {key: float(value) for key, value in values.items()}}


def _deterministic(policy: Any) -> bool:
    return bool(np.isin(policy, (0.0, 1.0)).all())


def main() -> None:
    """Answer every problem."""
    logging.disable(logging.CRITICAL)
    folder = Path(sys.argv[1])
    problems = {
        "open-bandit-random": lambda: open_bandit("random"),
        "open-bandit-bts": lambda: open_bandit("bts"),
        **{f"synthetic-soft-{seed}": lambda seed=seed: synthetic(seed, greedy=False) for seed in SEEDS},
        **{f"synthetic-greedy-{seed}": lambda seed=seed: synthetic(seed, greedy=True) for seed in SEEDS},
    }
    answers = {name: answered(make(), name, folder) for name, make in problems.items()}
    (folder / "obp.json").write_text(json.dumps(answers))


if __name__ == "__main__":
    main()
