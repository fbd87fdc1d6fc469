"""What models believe, cut to a bounded size: the models and the offers that learned last."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from learners.bandits import ModelView
from learners.model import ArmState
from learners.shard import Shard

MODELS: Final = 40
OFFERS: Final = 25
"""Of each model. 1,000 lines at most, some 300 kB: one screen a model, and quickly written."""


@dataclass(frozen=True, slots=True)
class Believed:
    """A model and what it believes of the offers it heard of last; `left_out` says how many others it knows."""

    tenant: str
    model: ModelView
    arms: list[ArmState]
    left_out: int


@dataclass(frozen=True, slots=True)
class Beliefs:
    """The models that learned last, newest first; `left_out` says how many others there are."""

    models: list[Believed]
    left_out: int


NOTHING: Final = Beliefs([], 0)


async def newest_beliefs(shards: Iterable[Shard], models: int = MODELS, offers: int = OFFERS) -> Beliefs:
    """Return what the `models` models that learned last believe of `offers` offers each.

    It lets the event loop go on between two models, for those that learn come first.
    """
    trained = [
        (last_ms, shard, tenant, model_id)
        for shard in shards
        for (tenant, model_id), last_ms in shard.bandits.trained().items()
    ]
    trained.sort(key=lambda one: (-one[0], one[2], one[3]))
    found = []
    for _, shard, tenant, model_id in trained[:models]:
        view = shard.bandits.model(tenant, model_id)
        if view is not None:
            arms = sorted(shard.bandits.arms(tenant, model_id), key=lambda arm: -(arm.last_reward_at or 0))
            found.append(Believed(tenant, view, arms[:offers], max(0, len(arms) - offers)))
        await asyncio.sleep(0)
    return Beliefs(found, max(0, len(trained) - models))
