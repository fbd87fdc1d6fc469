"""A learner's figures for Prometheus. No tag names a tenant, unless offers are asked for.

Whoever reaches the port of a Ray node's agent may read them, without a key: offers are a setting, off by default.
"""

from collections.abc import Mapping
from typing import Final, Protocol

from learners.answers import LearnerStatus
from learners.beliefs import Beliefs

OFFERS: Final = 100
"""Offers that have gauges: those of champions that were rewarded last. Each is two series while it is set."""
OFFER_TAGS: Final = ("learner", "tenant", "model", "offer")


class Gauge(Protocol):
    """A figure that may fall; it vanishes when it has not been set for twenty seconds."""

    def set(self, value: float, tags: dict[str, str]) -> None:
        """Have the figure be `value`."""


class Counter(Protocol):
    """A figure that only rises."""

    def inc(self, value: float, tags: dict[str, str]) -> None:
        """Add `value`, over 0."""


class Makers(Protocol):
    """`ray.util.metrics`, or what a test puts in its place."""

    def Gauge(self, name: str, description: str, tag_keys: tuple[str, ...]) -> Gauge:  # noqa: N802 - Ray's name
        """Return a gauge."""

    def Counter(self, name: str, description: str, tag_keys: tuple[str, ...]) -> Counter:  # noqa: N802 - Ray's name
        """Return a counter."""


class Gauges:
    """The figures of one learner.

    Args:
        makers: makes gauges and counters.
        learner: the learner's name.
        offers: whether tenants and offers get figures, too.
    """

    def __init__(self, makers: Makers, learner: str, *, offers: bool) -> None:
        self._tags = {"learner": learner}
        own = ("learner",)
        self._position = makers.Gauge(
            "rewardloop_learner_position", "Entries learned, as the sum of the partitions' positions", own
        )
        self._behind = makers.Gauge(
            "rewardloop_learner_behind", "Entries that are in the logs and not learned yet", own
        )
        self._lag = makers.Gauge(
            "rewardloop_learner_lag_seconds", "Time since the learner was last at the end of its logs", own
        )
        self._counters = {
            "outcomes": makers.Counter(
                "rewardloop_learner_outcomes", "Outcomes applied, with those read again after a restart", own
            ),
            "snapshots": makers.Counter("rewardloop_learner_snapshots", "Snapshots sent to replicas", own),
        }
        self._counted = dict.fromkeys(self._counters, 0)
        self._mean = self._pulls = None
        if offers:
            self._mean = makers.Gauge("rewardloop_offer_mean", "Expected reward of an offer", OFFER_TAGS)
            self._pulls = makers.Gauge("rewardloop_offer_pulls", "Rewards learned of an offer", OFFER_TAGS)

    @property
    def of_offers(self) -> bool:
        """Whether offers have gauges."""
        return self._mean is not None

    def tell(self, status: LearnerStatus, counts: Mapping[str, int]) -> None:
        """Set the learner's figures; `counts` are `outcomes` and `snapshots` since its process started."""
        self._position.set(sum(status.positions.values()), self._tags)
        self._behind.set(status.behind, self._tags)
        self._lag.set(status.lag_ms / 1000, self._tags)
        for name, counter in self._counters.items():
            if counts[name] > self._counted[name]:
                counter.inc(counts[name] - self._counted[name], self._tags)
                self._counted[name] = counts[name]

    def tell_offers(self, beliefs: Beliefs) -> None:
        """Set the figures of the champions' offers that were rewarded last; those of others vanish in time."""
        if self._mean is None or self._pulls is None:
            return
        found = [
            (believed, arm)
            for believed in beliefs.models
            if believed.model.status == "champion"
            for arm in believed.arms
        ]
        found.sort(key=lambda one: -(one[1].last_reward_at or 0))
        for believed, arm in found[:OFFERS]:
            tags = {
                **self._tags,
                "tenant": believed.tenant,
                "model": believed.model.key,
                "offer": arm.offer_id,
            }
            self._mean.set(arm.mean, tags)
            self._pulls.set(arm.pulls, tags)
