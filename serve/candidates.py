"""Which offers can be shown: the catalogue cut down to a channel, a placement and a time."""

import bisect
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple, TypeAlias

import numpy as np
from msgspec import structs

from serve.resolution import resolve
from storage.caps import Cap, fields_of
from storage.clock import parse_iso
from storage.config import Doc, TenantConfig
from storage.entry import Resolution

FOREVER: Final = 2**63
GLOBAL: Final = "global:"
Reason: TypeAlias = Literal[
    "inactive",
    "outOfSchedule",
    "categoryInactive",
    "noCreative",
    "excluded",
    "suppressed",
    "contactPolicy",
    "frequencyCap",
]
"""Why an offer is not a candidate."""


class Removal(NamedTuple):
    """Why an offer is not a candidate, with the id of the policy or cap that says so."""

    reason: Reason
    rule_id: str | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """A creative that can show an offer, and what an outcome of it would count for."""

    weight: float
    resolution: Resolution
    implicit: bool
    """Whether the channel counts showing it as an impression at once."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """The offers that can be shown, each with its creatives; true until `valid_until_ms`.

    `removed` tells of every other live offer why not.
    """

    choices: Mapping[str, tuple[Choice, ...]]
    removed: Mapping[str, Removal]
    valid_until_ms: int = FOREVER
    offers: tuple[str, ...] = field(init=False)
    categories: tuple[str | None, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "offers", tuple(self.choices))
        categories = tuple(choices[0].resolution.category_id for choices in self.choices.values())
        object.__setattr__(self, "categories", categories)

    def under(self, caps: Iterable[Cap]) -> "Candidates":
        """Return the candidates without what is capped."""
        left = self
        for cap in caps:
            left = left.held_back(cap.field, Removal("frequencyCap", cap.id))
        return left

    def held_back(self, field: str, removal: Removal) -> "Candidates":
        """Return the candidates without what `field` names: `global:`, or `offer:ID`, `category:ID` and so on."""
        kept: dict[str, tuple[Choice, ...]] = {}
        for offer, choices in self.choices.items():
            left = tuple(one for one in choices if field not in _fields(one.resolution))
            if left:
                kept[offer] = left
        return self._kept(kept, removal)

    def without(self, offers: frozenset[str], creatives: frozenset[str]) -> "Candidates":
        """Return the candidates without some offers and creatives."""
        if not offers and not creatives:
            return self
        kept: dict[str, tuple[Choice, ...]] = {}
        for offer, choices in self.choices.items():
            left = tuple(one for one in choices if one.resolution.creative_id not in creatives)
            if offer not in offers and left:
                kept[offer] = left
        return self._kept(kept, Removal("excluded"))

    def _kept(self, kept: Mapping[str, tuple[Choice, ...]], removal: Removal) -> "Candidates":
        gone = dict.fromkeys((offer for offer in self.choices if offer not in kept), removal)
        return Candidates(kept, {**self.removed, **gone}, self.valid_until_ms)


def _fields(resolution: Resolution) -> list[str]:
    return [GLOBAL, f"creative:{resolution.creative_id}", *fields_of(resolution)]


def pick(rng: np.random.Generator, choices: tuple[Choice, ...]) -> Choice:
    """Return one of an offer's creatives, each as likely as its weight says."""
    if len(choices) == 1:
        return choices[0]
    edges = np.cumsum([choice.weight for choice in choices])
    return choices[bisect.bisect_right(edges.tolist(), rng.random() * edges[-1], hi=len(choices) - 1)]


def candidates(config: TenantConfig, channel_id: str | None, placement_id: str | None, now_ms: int) -> Candidates:
    """Return the offers that can be shown on the channel and placement (None: on any) at `now_ms`.

    An offer is one if it is active and in its schedule, its category is not inactive, and a creative of it is
    active with a weight above 0, on an active channel and, where it names one, an active placement. A creative
    without a placement fits every placement of its channel.
    """
    by_offer = _choices(config, channel_id, placement_id)
    valid_until_ms = FOREVER
    kept: dict[str, tuple[Choice, ...]] = {}
    removed: dict[str, Removal] = {}
    for offer_id, item in config.of_kind("offer").items():
        if not item.live:
            continue
        start, end = _schedule(item.doc)
        valid_until_ms = min([valid_until_ms, *(edge for edge in (start, end) if edge > now_ms)])
        reason = _obstacle(config, item.doc, in_schedule=start <= now_ms < end)
        if reason is None and offer_id not in by_offer:
            reason = "noCreative"
        if reason is None:
            kept[offer_id] = tuple(by_offer[offer_id])
        else:
            removed[offer_id] = Removal(reason)
    return Candidates(kept, removed, valid_until_ms)


def _obstacle(config: TenantConfig, offer: Doc, *, in_schedule: bool) -> Reason | None:
    if offer["status"] != "active":
        return "inactive"
    if not in_schedule:
        return "outOfSchedule"
    category = config.get("category", offer["categoryId"]) if offer.get("categoryId") else None
    return "categoryInactive" if category is not None and category.doc["status"] != "active" else None


def _schedule(offer: Doc) -> tuple[int, int]:
    schedule = offer.get("schedule") or {}
    start, end = schedule.get("startAt"), schedule.get("endAt")
    return (0 if start is None else parse_iso(start)), (FOREVER if end is None else parse_iso(end))


def _choices(config: TenantConfig, channel_id: str | None, placement_id: str | None) -> dict[str, list[Choice]]:
    by_offer: dict[str, list[Choice]] = {}
    for creative_id, creative in _showable(config):
        own_placement = creative.get("placementId")
        if channel_id is not None and creative["channelId"] != channel_id:
            continue
        if placement_id is not None and own_placement not in (None, placement_id):
            continue
        resolution = resolve(config, creative_id)
        if resolution is None:
            continue
        if own_placement is None:
            resolution = structs.replace(resolution, placement_id=placement_id)
        implicit = config.of_kind("channel")[creative["channelId"]].doc["impressionMode"] == "implicit"
        by_offer.setdefault(creative["offerId"], []).append(Choice(creative["weight"], resolution, implicit))
    return by_offer


def _showable(config: TenantConfig) -> Iterator[tuple[str, Doc]]:
    for creative_id, item in config.of_kind("creative").items():
        doc = item.doc
        channel = config.get("channel", doc["channelId"])
        placement = config.get("placement", doc["placementId"]) if doc.get("placementId") else None
        if (
            item.live
            and doc["status"] == "active"
            and doc["weight"] > 0
            and channel is not None
            and channel.doc["status"] == "active"
            and (not doc.get("placementId") or (placement is not None and placement.doc["status"] == "active"))
        ):
            yield creative_id, doc
