"""What policies would have earned: estimates, intervals, diagnostics and progressive losses, policy by policy."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
import numpy as np

from learners.errors import EvaluationError
from learners.evaluation.anytime import bounds
from learners.evaluation.diagnostics import Diagnostics, diagnose
from learners.evaluation.estimators import DEFAULT, Estimator, Evidence, bootstrap, parse_estimator, value_of
from learners.evaluation.logged import Flags, LogFacts, Logged
from learners.evaluation.policies import Behaviour, PolicySpec, behave
from learners.evaluation.reward_model import OfferFeatures, Predicted, RewardModelConfig
from learners.metrics import Metrics, log_losses
from learners.model import Floats

POINTS: Final = 200
"""Points of a learning curve."""
BINS: Final = 20
"""Bins of the histogram of propensities, even on a logarithmic axis."""


class Estimate(msgspec.Struct, frozen=True, rename="camel"):
    """A policy's value: mean reward of a row. None where the log has nothing to say, or there is no such bound."""

    estimator: str
    value: float | None
    ci_lower: float | None
    ci_upper: float | None
    anytime_lower: float | None
    anytime_upper: float | None


class CurvePoint(msgspec.Struct, frozen=True, rename="camel"):
    """What was known after n rows."""

    n: int
    ips: float | None
    snips: float | None
    reward: float | None
    log_loss: float | None


class Progressive(msgspec.Struct, frozen=True, rename="camel"):
    """A policy that predicts before it learns.

    Attributes:
        reward: Mean reward of the rows, each counted by the policy's probability of what was shown.
        ips: The same with propensities: the policy's value while it learns.
        log_loss: Mean of -log of the probability given to what happened, success or not; None for one that expects
            nothing.
        auc: Probability that a success was expected above a failure.
    """

    reward: float | None
    ips: float | None
    log_loss: float | None
    auc: float | None


class PolicyEvaluation(msgspec.Struct, frozen=True, rename="camel"):
    """What the log says about one policy; `calibration` is that of `learners.metrics`."""

    policy: str
    estimates: list[Estimate]
    diagnostics: Diagnostics
    progressive: Progressive
    curve: list[CurvePoint]
    calibration: list[dict[str, float | int]]


class Histogram(msgspec.Struct, frozen=True):
    """Counts of numbers between edges, one more of these."""

    edges: list[float]
    counts: list[int]


class Evaluation(msgspec.Struct, frozen=True, rename="camel"):
    """The whole answer; as JSON it is the report of `rewardloop evaluate --json`.

    `reward_model` is the kind of regression that was used, None if none was wanted.
    """

    log: LogFacts
    level: float
    reward_model: str | None
    reward_model_converged: bool | None
    propensities: Histogram | None
    policies: list[PolicyEvaluation]


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of a log.

    Attributes:
        policies: Whose value is wanted.
        estimators: By which estimators.
        reward_model: The regression of those that need one.
        offers: Features of offers for that, by offer; None: their names.
        level: Of all intervals, in (0, 1).
        resamples: Of the bootstrap.
        seed: Of the bootstrap, and of what replayed policies show.
        reward_bound: Bound on rewards that anytime-valid intervals take for granted; None: the log's largest.
    """

    policies: Sequence[PolicySpec]
    estimators: Sequence[Estimator] = tuple(map(parse_estimator, DEFAULT))
    reward_model: RewardModelConfig = field(default_factory=RewardModelConfig)
    offers: OfferFeatures | None = None
    level: float = 0.95
    resamples: int = 1000
    seed: int = 0
    reward_bound: float | None = None

    @property
    def replay(self) -> bool:
        """Whether policies must be run over the log."""
        return any(one.name == "replay" for one in self.estimators)


def evaluate(
    log: Logged,
    question: Question,
    *,
    predicted: Predicted | None = None,
    advance: Callable[[int], None] = lambda _: None,
) -> Evaluation:
    """Return what each policy would have earned.

    Args:
        log: Decisions with their rewards.
        question: What is wanted to know.
        predicted: Rewards to expect by a model of your own, instead of the question's.
        advance: Is told how many rows more a policy has been through.

    Raises:
        EvaluationError: the log cannot be asked that.
        FeatureError: a feature is no finite number, string or boolean.
    """
    largest = float(log.rewards.max())
    if question.reward_bound is not None and question.reward_bound < largest:
        raise EvaluationError(f"--reward-bound {question.reward_bound:g} is below a reward of the log, {largest:g}")
    modelled = any(one.modelled for one in question.estimators)
    if modelled and predicted is None:
        from learners.evaluation.regression import predict_rewards  # noqa: PLC0415 - takes a second

        predicted = predict_rewards(log, question.reward_model, question.offers)
    policies = []
    for policy in question.policies:
        # Each policy has the same draws, whatever stands beside it.
        rng = np.random.default_rng(question.seed)
        behaviour = behave(policy, log, replay=question.replay, rng=rng, advance=advance)
        usable = np.ones(len(log), np.bool_) if policy.fixed == "logged" else log.usable
        policies.append(_PolicyView(log, question, behaviour, usable, predicted).evaluated(policy.text, rng))
    return Evaluation(
        log=log.facts,
        level=question.level,
        reward_model=None if predicted is None else predicted.kind,
        reward_model_converged=None if predicted is None else predicted.converged,
        propensities=_histogram(log.propensities[~np.isnan(log.propensities)]),
        policies=policies,
    )


def evidence_of(log: Logged, behaviour: Behaviour, usable: Flags, predicted: Predicted | None) -> Evidence:
    """Return what estimators need of the `usable` rows, (n,), of a log, its policy and a reward model, if any."""
    expected = shown = None
    if predicted is not None:
        expected = log.sums(behaviour.probabilities * predicted.rewards)[usable]
        shown = predicted.rewards[log.chosen][usable]
    matched = None if behaviour.matched is None else behaviour.matched[usable]
    return Evidence(behaviour.weights[usable], log.rewards[usable], expected, shown, matched)


@dataclass(frozen=True, slots=True)
class _PolicyView:
    """A policy's behaviour beside the log; only `usable` rows, (n,), have weights."""

    log: Logged
    question: Question
    behaviour: Behaviour
    usable: Flags
    predicted: Predicted | None

    def evaluated(self, name: str, rng: np.random.Generator) -> PolicyEvaluation:
        metrics = self._metrics()
        report = metrics.report()
        matching = np.where(self.log.known, self.behaviour.probabilities[self.log.chosen], 0.0)
        usable = bool(self.usable.any())
        weights, rewards = self.behaviour.weights[self.usable], self.log.rewards[self.usable]
        return PolicyEvaluation(
            policy=name,
            estimates=self._estimates(rng),
            diagnostics=diagnose(self.log, self.behaviour, self.usable),
            progressive=Progressive(
                reward=_ratio(float(matching @ self.log.rewards), float(matching.sum())),
                ips=float(weights @ rewards) / len(weights) if usable else None,
                log_loss=report["logLoss"],
                auc=report["auc"],
            ),
            curve=self._curve(matching),
            calibration=report["calibration"],
        )

    def _metrics(self) -> Metrics:
        metrics = Metrics()
        if self.behaviour.predictions is not None:
            metrics.observe(self.behaviour.predictions, self.log.rewards)
        return metrics

    def _estimates(self, rng: np.random.Generator) -> list[Estimate]:
        if not self.usable.any():
            return [Estimate(one.text, None, None, None, None, None) for one in self.question.estimators]
        evidence = evidence_of(self.log, self.behaviour, self.usable, self.predicted)
        terms = [one.terms(evidence) for one in self.question.estimators]
        units = self.log.decisions[self.usable]
        intervals = bootstrap(terms, units, self.question.level, self.question.resamples, rng)
        return [
            Estimate(
                one.text, _or_none(value_of(own)), _or_none(low), _or_none(high), *self._anytime(one, evidence)
            )
            for one, own, (low, high) in zip(self.question.estimators, terms, intervals, strict=True)
        ]

    def _anytime(self, estimator: Estimator, evidence: Evidence) -> tuple[float | None, float | None]:
        """Return the anytime-valid interval; IPS and replay have one, where no decision has two rows that count."""
        units = self.log.decisions[self.usable]
        match estimator.name:
            case "ips":
                rows, weights = np.ones(len(units), np.bool_), evidence.weights
                limit = 1.0 if (weights == 1).all() else 1 / float(self.log.propensities[self.usable].min())
            case "replay" if evidence.matched is not None and evidence.matched.any():
                rows, weights, limit = evidence.matched > 0, np.ones(len(units)), 1.0
            case _:
                return None, None
        if len(np.unique(units[rows])) < rows.sum():
            return None, None
        largest = self.question.reward_bound or float(self.log.rewards.max()) or 1.0
        lower, upper = bounds(weights[rows], evidence.rewards[rows] / largest, limit, self.question.level)
        return float(lower[-1]) * largest, float(upper[-1]) * largest

    def _curve(self, matching: Floats) -> list[CurvePoint]:
        log = self.log
        n = len(log)
        ends = np.unique(np.linspace(0, n, min(POINTS, n) + 1).astype(np.int64)[1:])
        weights = np.where(self.usable, self.behaviour.weights, 0.0)
        sums: Mapping[str, Floats] = {
            name: np.cumsum(values)[ends - 1]
            for name, values in {
                "count": self.usable.astype(np.float64),
                "weight": weights,
                "weighed": weights * log.rewards,
                "match": matching,
                "matched": matching * log.rewards,
                "loss": self._losses(),
            }.items()
        }
        return [
            CurvePoint(
                n=int(end),
                ips=_ratio(sums["weighed"][i], sums["count"][i]),
                snips=_ratio(sums["weighed"][i], sums["weight"][i]),
                reward=_ratio(sums["matched"][i], sums["match"][i]),
                log_loss=None if self.behaviour.predictions is None else float(sums["loss"][i] / end),
            )
            for i, end in enumerate(ends)
        ]

    def _losses(self) -> Floats:
        if self.behaviour.predictions is None:
            return np.zeros(len(self.log))
        return log_losses(self.behaviour.predictions, self.log.rewards)


def _ratio(over: Any, under: Any) -> float | None:
    return float(over / under) if under > 0 else None


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value


def _histogram(propensities: Floats) -> Histogram | None:
    if not len(propensities):
        return None
    least = min(float(propensities.min()), 0.1)
    edges = np.geomspace(least, 1.0, BINS + 1)
    # Rounding must not lose the outermost numbers.
    edges[0], edges[-1] = least, 1.0
    return Histogram(edges.tolist(), np.histogram(propensities, edges)[0].tolist())
