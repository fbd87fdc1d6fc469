"""The log's entries: what they hold and how they are written.

An entry is one msgpack array, `[position, time_ms, body, resolution, decision, touches]`. The commit script joins
it from parts that were packed before the call (body), stored with a recommendation (resolution, decision) or are
known only inside it (position, time, touches), so no part is ever decoded in Redis.

New fields go to the end of a struct and have a default: entries written before stay readable.
"""

from collections.abc import Mapping
from typing import Final, Literal, TypeAlias

import msgspec

from storage.errors import DamagedEntry

Scalar: TypeAlias = bool | int | float | str
Classification = Literal["positive", "negative", "neutral"]
Direction = Literal["inbound", "outbound"]
ModelStatus = Literal["draft", "shadow", "challenger", "champion", "archived"]

WEIGHTS: Final[Mapping[Classification, float]] = {"positive": 1.0, "negative": -1.0, "neutral": 0.0}
"""What an outcome is worth by its classification, where nothing else is said."""
LARGEST_WEIGHT: Final = 1e6
"""Weights of this size and more would drown what a model knows, and in the end its numbers."""


CONVERSIONS: Final = frozenset({"convert", "purchase", "renewed"})
"""Outcomes that are conversions, by key."""


class Resolution(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """The offer, creative and channel that an outcome counts for, with their names at that time."""

    offer_id: str
    creative_id: str
    channel_id: str
    placement_id: str | None
    category_id: str | None
    offer_name: str
    creative_name: str
    channel_name: str
    category_name: str | None


class DecisionPoint(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """The part of a recommendation that an outcome needs: when it was made, on what, how likely it was."""

    time_ms: int
    features: dict[str, Scalar]
    propensity: float | None = None
    model_key: str | None = None
    variant: str | None = None
    delivered: bool = False
    """Whether showing it was counted as a delivery at once."""


class Outcome(msgspec.Struct, array_like=True, frozen=True, gc=False, tag="outcome"):
    """A customer's response to an offer, as it was acknowledged.

    `time_ms` is the event's own time if the caller gave one. `context` and `details` are JSON texts, stored as
    they came. `delivery` is true where the outcome counts against frequency caps.
    """

    tenant: str
    interaction_id: str
    customer_id: str
    outcome: str
    classification: Classification
    direction: Direction
    delivery: bool
    rank: int | None = None
    recommendation_id: str | None = None
    time_ms: int | None = None
    value: float | None = None
    features: dict[str, Scalar] = {}
    context: str | None = None
    details: str | None = None
    legacy_interaction_id: str | None = None
    weight: float | None = None
    """What it is worth to a model that does not say otherwise, where that is not `WEIGHTS`."""

    @property
    def is_conversion(self) -> bool:
        """Whether it is attributed to what the customer met before."""
        return self.classification == "positive" and (self.value is not None or self.outcome in CONVERSIONS)

    @property
    def worth(self) -> float:
        """What the outcome is worth to a model that does not say otherwise: above 0 for a success."""
        return WEIGHTS[self.classification] if self.weight is None else self.weight


class ModelChange(msgspec.Struct, array_like=True, frozen=True, gc=False, tag="model"):
    """A model came into being or was changed: the folds obey it from this position on."""

    tenant: str
    model_id: str
    key: str
    model_type: str
    status: ModelStatus
    config: str
    """The model's configuration as a JSON text."""
    outcome_weights: dict[str, float] = {}
    reset: bool = False
    """Whether the model forgets what it learned before."""
    warm: bool = False
    """Whether the model first learns from all of the tenant's outcomes in the log before this entry."""


class OfferRemoved(msgspec.Struct, array_like=True, frozen=True, gc=False, tag="offer_removed"):
    """An offer was deleted: the models forget it from this position on."""

    tenant: str
    offer_id: str


class ShownOffer(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What a decision put at one rank. `delivered`: it counted as an impression at once."""

    rank: int
    resolution: Resolution
    score: float
    propensity: float
    interaction_id: str
    delivered: bool


class Decision(msgspec.Struct, array_like=True, frozen=True, gc=False, tag="decision"):
    """A recommendation as it was answered: what could be shown, what was, and how likely that was.

    `model_position` is the log position that the model had learned from. `context` is a JSON text.
    """

    tenant: str
    recommendation_id: str
    customer_id: str
    features: dict[str, Scalar]
    candidates: list[str]
    shown: list[ShownOffer]
    model_key: str
    model_position: int
    variant: str | None = None
    context: str | None = None
    experiment_id: str | None = None


Body: TypeAlias = Outcome | ModelChange | Decision | OfferRemoved


class Touch(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A delivery or a positive outcome that came before a conversion."""

    offer_id: str
    creative_id: str
    channel_id: str
    time_ms: int


class Entry(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One entry of a partition's log. Positions are 1, 2, 3 …; `time_ms` is Redis's clock at the commit."""

    position: int
    time_ms: int
    body: Body
    resolution: Resolution | None = None
    decision: DecisionPoint | None = None
    touches: list[Touch] = []
    """Of a conversion, oldest first: what the customer met in the 30 days before, as known at its commit."""

    @property
    def event_time_ms(self) -> int:
        """When it happened: the caller's time where one was given, else the commit's."""
        given = self.body.time_ms if isinstance(self.body, Outcome) else None
        return self.time_ms if given is None else given

    @property
    def is_delivery(self) -> bool:
        """Whether the outcome counts as a delivery: not where its decision counted one already."""
        given = isinstance(self.body, Outcome) and self.body.delivery
        return given and not (self.decision is not None and self.decision.delivered)

    @property
    def before_decision(self) -> bool:
        """Whether the event claims to be older than the decision that it answers."""
        return self.decision is not None and self.event_time_ms < self.decision.time_ms

    @property
    def learning_features(self) -> Mapping[str, Scalar]:
        """The decision's features joined with the outcome's; the decision's win."""
        given = self.body.features if isinstance(self.body, Outcome) else {}
        known = {} if self.decision is None else self.decision.features
        return {**given, **known} if given and known else known or given


NIL: Final = b"\xc0"
"""msgpack's nil: the part of an entry that is not there."""

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Entry)


def pack(part: Body | Resolution | DecisionPoint | None) -> bytes:
    """Return one part of an entry as msgpack."""
    return _encoder.encode(part)


def pack_entry(entry: Entry) -> bytes:
    """Return a whole entry as the commit script would have joined it."""
    return _encoder.encode(entry)


def unpack_entry(raw: bytes) -> Entry:
    """Return the entry that `raw` holds.

    Raises:
        DamagedEntry: `raw` is not an entry.
    """
    try:
        return _decoder.decode(raw)
    # The last two come of texts that are no UTF-8, and of depth.
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise DamagedEntry(f"no entry: {error}") from error
