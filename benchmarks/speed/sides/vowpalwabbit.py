"""Vowpal Wabbit: action-dependent features as text, which is written before the clock starts."""

from __future__ import annotations

import vowpalwabbit

from benchmarks.speed.side import TAUGHT, Data, Runs, each

ARGUMENTS = "--cb_explore_adf --quiet --quadratic ca -b 16 --cb_type mtr --epsilon 0.05 --random_seed 1"


def _examples(data: Data, *, labelled: bool) -> list[list[str]]:
    actions = [f"|a o{offer}" for offer in range(data.arms)]
    examples = []
    for x, offer, reward in zip(data.x.tolist(), data.offers.tolist(), data.rewards.tolist(), strict=True):
        lines = actions.copy()
        if labelled:
            lines[offer] = f"0:{-reward}:{1 / data.arms:.6f} {lines[offer]}"
        examples.append(["shared |c " + " ".join(f"f{j}:{value:.5f}" for j, value in enumerate(x)), *lines])
    return examples


def _learn(data: Data) -> float:
    return each(vowpalwabbit.Workspace(ARGUMENTS).learn, _examples(data, labelled=True))


def _decide(data: Data) -> float:
    workspace = vowpalwabbit.Workspace(ARGUMENTS)
    for example in _examples(data.first(TAUGHT), labelled=True):
        workspace.learn(example)
    return each(workspace.predict, _examples(data, labelled=False))


RUNS: Runs = {"fold-contextual": {"cb_explore_adf": _learn}, "decide": {"cb_explore_adf": _decide}}
