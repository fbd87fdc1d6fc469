"""What models have in common that look at each offer's mean reward."""

from collections.abc import Iterable, Sequence

import numpy as np

from learners.intervals import wilson
from learners.model import ArmState, Categories, Features, Floats, ModelConfig, Rewards
from learners.models.arm_model import ArmModel


class MeanModel(ArmModel):
    """Total reward and pulls of each offer; a reward is its weight, 0 for a negative one.

    With a half-life rewards and pulls of an offer fade alike, so its mean follows the recent ones.
    """

    unpulled_score = 1.0
    """An offer without rewards is tried before those that are known to earn less than always."""

    def __init__(self, config: ModelConfig, columns: Iterable[str] = ()) -> None:
        super().__init__(config, ("total_reward", "pulls", *columns))

    def update(self, batch: Rewards) -> None:
        """Learn from rewards; a batch equals the sequence of its single rewards, bit for bit."""
        self._add_up(batch, total_reward=np.maximum(batch.weights, 0.0), pulls=np.ones(len(batch)))

    def score(self, features: Features, offers: Sequence[str], categories: Categories) -> Floats:
        """Return the mean reward of each of k offers, (k,) float64; 1 where there was none."""
        del features, categories
        return self._means(*self._faded(offers, "total_reward", "pulls"))

    def arms(self, offer_id: str | None = None) -> list[ArmState]:
        """Return each offer's mean reward with Wilson's 95 % interval, which is meant for rewards of 0 and 1."""
        offers = self._arms.met(offer_id)
        totals, pulls = self._faded(offers, "total_reward", "pulls")
        means = self._means(totals, pulls)
        return [
            self._arms.describe(
                offer, mean, *wilson(min(mean, 1.0), n), {"totalReward": float(total), "pulls": float(n)}
            )
            for offer, total, n, mean in zip(offers, totals, pulls, means, strict=True)
        ]

    def _means(self, totals: Floats, pulls: Floats) -> Floats:
        means = np.full(len(pulls), self.unpulled_score)
        np.divide(totals, pulls, out=means, where=pulls > 0)
        return means
