"""Policies to evaluate, and what each would have done at every row of a log."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import numpy as np

from learners.errors import ConfigError, EvaluationError
from learners.evaluation.logged import Logged
from learners.evaluation.walk import Advance, run_on_matches, walk
from learners.model import Floats
from learners.models import MODELS
from learners.spec import ModelSpec, parse_spec

Fixed: TypeAlias = Literal["logged", "uniform", "constant", "column"]
_FIXED: Final = ("logged", "uniform", "constant:OFFER", "column:NAME")


@dataclass(frozen=True, slots=True)
class PolicySpec:
    """A policy as the command line names it: a model that learns, or one of the fixed kinds with its argument."""

    text: str
    fixed: Fixed | None
    argument: str
    model: ModelSpec | None


def parse_policies(texts: Sequence[str]) -> list[PolicySpec]:
    """Return the policies that SPECs stand for; a model SPEC with lists stands for several.

    >>> [policy.text for policy in parse_policies(["uniform", "lin_ts:explore=[0.1,0.3]"])]
    ['uniform', 'lin_ts:explore=0.1', 'lin_ts:explore=0.3']

    Raises:
        EvaluationError: there is no such policy, or one is named twice.
    """
    policies = [policy for text in texts for policy in _parse(text)]
    names = [policy.text for policy in policies]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise EvaluationError(f"--policy {twice} is given twice")
    return policies


def _parse(text: str) -> list[PolicySpec]:
    name, colon, argument = text.partition(":")
    if name in {"logged", "uniform"} and not colon:
        return [PolicySpec(text, "logged" if name == "logged" else "uniform", "", None)]
    if name in {"constant", "column"}:
        if not argument:
            wanted = "an offer" if name == "constant" else "a field's name"
            raise EvaluationError(f"--policy {text}: {name}: must be followed by {wanted}")
        return [PolicySpec(text, "constant" if name == "constant" else "column", argument, None)]
    if name not in MODELS:
        raise EvaluationError(f"--policy {text}: must be {', '.join(_FIXED)} or a model: {', '.join(MODELS)}")
    try:
        return [PolicySpec(spec.text, None, "", spec) for spec in parse_spec(text)]
    except ConfigError as error:
        raise EvaluationError(f"--policy {error}") from None


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What a policy would have done at n rows with m candidates.

    Attributes:
        probabilities: (m,) of each candidate to be shown at the row's rank.
        weights: (n,), how much likelier the policy shows what was shown; NaN where nobody knows.
        predictions: (n,), reward that the policy expected of what was shown; None for one that expects nothing.
        matched: (n,), 1 where the policy, run over the log, showed the same; None if it was not run.
    """

    probabilities: Floats
    weights: Floats
    predictions: Floats | None
    matched: Floats | None


def behave(
    policy: PolicySpec, log: Logged, *, replay: bool, rng: np.random.Generator, advance: Advance = lambda _: None
) -> Behaviour:
    """Return what a policy would have done at each row.

    Args:
        policy: Which.
        log: The rows.
        replay: Whether to run it over the log, too, as the replay estimator needs it.
        rng: Decides what a policy that draws shows when it is run.
        advance: Is told how many rows more are done.

    Raises:
        EvaluationError: the log lacks the policy's offer or column.
        FeatureError: a feature is no finite number, string or boolean.
    """
    if policy.model is not None:
        probabilities, predictions = walk(log, policy.model, advance)
        matched = run_on_matches(log, policy.model, rng, advance) if replay else None
        return Behaviour(probabilities, _weights(log, probabilities), predictions, matched)
    probabilities = _fixed(policy, log)
    advance(len(log))
    matched = (rng.random(len(log)) < probabilities[log.chosen]).astype(np.float64) if replay else None
    weights = np.ones(len(log)) if policy.fixed == "logged" else _weights(log, probabilities)
    return Behaviour(probabilities, weights, None, matched)


def _weights(log: Logged, probabilities: Floats) -> Floats:
    return np.asarray(np.where(log.known, probabilities[log.chosen] / log.propensities, np.nan), np.float64)


def _fixed(policy: PolicySpec, log: Logged) -> Floats:
    match policy.fixed:
        case "uniform":
            return np.repeat(1.0 / log.sizes, log.sizes)
        case "constant":
            if policy.argument not in log.offers:
                raise EvaluationError(f"--policy {policy.text}: the log has no offer {policy.argument}")
            return np.equal(log.candidates, log.offers.index(policy.argument)).astype(np.float64)
        case "column":
            return log.columns[policy.argument]
        case _:
            # It is certain to have shown what was shown; what else it might have, nobody wrote down.
            probabilities = np.zeros(len(log.candidates))
            probabilities[log.chosen] = 1.0
            return probabilities
