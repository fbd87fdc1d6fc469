"""Models: what they are, what they believe, what they would say."""

from typing import Annotated

from msgspec import Meta

from serve.client.answers.base import Answer, Count, JsonObject, Position, Share, Time


class Calibration(Answer, frozen=True):
    """What was predicted and what came, in a tenth of the predictions."""

    decile: Annotated[int, Meta(ge=1, le=10)]
    count: Count
    predicted: float
    observed: float


class Drift(Answer, frozen=True):
    """How often the mean loss has changed."""

    detections: Count
    last_at_sample: int | None


class ModelMetrics(Answer, frozen=True, omit_defaults=True):
    """How well rewards were predicted before they were learned; empty for a model that cannot run."""

    samples: Count = 0
    log_loss: float | None = None
    auc: float | None = None
    mean_reward: float | None = None
    calibration: list[Calibration] = []
    drift: Drift | None = None


class Model(Answer, frozen=True):
    """A model as configured, with how much it has learned."""

    id: str
    key: str
    name: str
    model_type: str
    status: str
    config: JsonObject
    outcome_weights: dict[str, float]
    version: int
    training_samples: Count
    last_trained_at: Time | None
    position: Annotated[int, Meta(ge=0, description="Log position of the last entry that moved it.")]
    metrics: ModelMetrics
    created_at: Time
    updated_at: Time


class OfferState(Answer, frozen=True):
    """What a model believes of an offer; the interval is of 95 %."""

    offer_id: str
    pulls: Count
    positives: Count
    negatives: Count
    mean: float
    ci_lower: float
    ci_upper: float
    last_reward_at: Time | None
    parameters: dict[str, float]


class ModelState(Answer, frozen=True, omit_defaults=True):
    """What a model believes of each offer."""

    model_id: str
    model_type: str
    data: list[OfferState]
    position: Position
    exploration_rate: Annotated[Share | None, Meta(description="Of epsilon_greedy.")] = None
    total_pulls: Annotated[float | None, Meta(description="Of epsilon_greedy.")] = None
    bias: Annotated[float | None, Meta(description="Of online_learner.")] = None


class Score(Answer, frozen=True):
    """What a model says of an offer."""

    offer_id: str
    score: Annotated[float, Meta(description="What ranking would use now: a draw or an upper bound.")]
    mean: float


class Scores(Answer, frozen=True):
    """What a model says of some offers; asking changed nothing."""

    scores: list[Score]
    position: Position
