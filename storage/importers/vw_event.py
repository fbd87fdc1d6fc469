"""One event of Vowpal Wabbit's Decision-Service JSON: what was chosen, out of what, how likely, and its cost."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, TypeVar

import msgspec

from storage.entry import LARGEST_WEIGHT
from storage.importers.vw_features import offer_id

_AGREEMENT: Final = 1e-3
"""Relative; `_label_probability` and `p` hold the same number of 32 bits, printed in different ways."""

Action: TypeAlias = dict[str, Any]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Choice:
    """One offer that an event put into one slot."""

    rank: int
    offer_id: str
    propensity: float
    candidates: list[str]
    reward: float
    observed: bool
    """Whether a reward came; where none did, a cost of 0 says nothing."""
    slot: Action
    """What the slot is like; empty for a contextual bandit, which has but one."""


class _Context(msgspec.Struct, frozen=True, rename={"actions": "_multi", "slots": "_slots"}):
    actions: list[Action] = []
    slots: list[Action] | None = None


class _SlotOutcome(
    msgspec.Struct,
    frozen=True,
    rename={"actions": "_a", "probabilities": "_p", "cost": "_label_cost", "observations": "_o"},
):
    actions: int | list[int]
    probabilities: float | list[float]
    cost: float | None = None
    observations: list[Any] | None = None


class Event(
    msgspec.Struct,
    frozen=True,
    rename={
        "context": "c",
        "cost": "_label_cost",
        "original_cost": "_original_label_cost",
        "probability": "_label_probability",
        "action": "_label_Action",
        "index": "_labelIndex",
        "continuous": "_label_ca",
        "actions": "a",
        "probabilities": "p",
        "observations": "o",
        "outcomes": "_outcomes",
        "dropped": "pdrop",
        "skip_learn": "_skipLearn",
        "deferred": "_deferred",
        "deferred_action": "DeferredAction",
        "event_id": "EventId",
        "timestamp": "Timestamp",
        "version": "Version",
        "state": "VWState",
    },
):
    """A line; null is the same as missing, and what is not named here does not matter to a log."""

    context: dict[str, Any] | None = None
    cost: float | None = None
    original_cost: float | None = None
    probability: float | None = None
    action: int | None = None
    index: int | None = None
    continuous: Any = None
    actions: list[int] | None = None
    probabilities: list[float] | None = None
    observations: list[Any] | None = None
    outcomes: list[_SlotOutcome] | None = None
    dropped: float | None = None
    """How likely an event was to be left out of the log."""
    skip_learn: bool | None = None
    deferred: bool | None = None
    deferred_action: bool | None = None
    event_id: str | None = None
    timestamp: str | None = None
    version: str | None = None
    state: dict[str, Any] | None = None

    @property
    def was_shown(self) -> bool:
        """Whether the choice reached anybody; a deferred one did once something was observed of it."""
        waits = bool(self.deferred_action) and not self.observations
        return not (self.skip_learn or self.deferred or waits)

    @property
    def was_relabelled(self) -> bool:
        """Whether the cost to learn is not the cost that was observed."""
        return self.original_cost is not None and self.original_cost != self.cost

    @property
    def model(self) -> str | None:
        """The model that decided; null where the log names none."""
        name = (self.state or {}).get("m")
        return name if isinstance(name, str) and name not in ("", "N/A") else None

    def choices(self) -> list[Choice]:
        """Return what the event put into each slot, in the slots' order.

        Raises:
            ValueError: The event is no choice among actions, or contradicts itself.
        """
        if self.continuous is not None:
            raise ValueError("_label_ca: an action that is a number is no offer")
        if self.context is None:
            raise ValueError("c is missing: there is no decision on the line")
        if self.version not in (None, "1"):
            raise ValueError(f"Version is {self.version!r:.20}, not '1'")
        context = msgspec.convert(self.context, _Context)
        if not context.actions:
            raise ValueError("_multi is missing or empty: there was nothing to choose from")
        return [self._bandit(context.actions)] if self.outcomes is None else self._slots(context)

    def _bandit(self, actions: list[Action]) -> Choice:
        listed = _places("a", _needed("a", self.actions), len(actions), first=1)
        probabilities = _needed("p", self.probabilities)
        _check_lengths("a", listed, "p", probabilities)
        chosen = self._chosen()
        if chosen not in listed:
            raise ValueError(f"_label_Action {chosen + 1} is not in a")
        probability = _above_zero("_label_probability", _needed("_label_probability", self.probability))
        of = dict(zip(listed, _probabilities("p", probabilities), strict=True))
        if not math.isclose(of[chosen], probability, rel_tol=_AGREEMENT):
            raise ValueError(f"_label_probability is {probability:g}, but p says {of[chosen]:g}")
        cost = _needed("_label_cost", self.cost)
        return Choice(
            rank=1,
            offer_id=offer_id(actions[chosen]),
            propensity=_propensity(actions, of | {chosen: probability}, chosen),
            candidates=_names(actions, listed),
            reward=_reward(cost),
            observed=_observed(cost, self.observations),
            slot={},
        )

    def _chosen(self) -> int:
        """Return the chosen action's place in `_multi`, from 0."""
        if self.action is None and self.index is None:
            raise ValueError("_label_Action is missing")
        action = self.action if self.action is not None else (self.index or 0) + 1
        if self.index not in (None, action - 1):
            raise ValueError(f"_labelIndex is {self.index}, which is not _label_Action {action} less 1")
        return action - 1

    def _slots(self, context: _Context) -> list[Choice]:
        outcomes = self.outcomes or []
        slots = [{} for _ in outcomes] if context.slots is None else context.slots
        _check_lengths("_outcomes", outcomes, "_slots", slots)
        choices: list[Choice] = []
        free = list(range(len(context.actions)))
        for rank, (outcome, slot) in enumerate(zip(outcomes, slots, strict=True), start=1):
            of = _listed(outcome, context.actions, rank)
            chosen = next(iter(of))
            eligible = _eligible(context.actions, free, rank, slot)
            if chosen not in eligible:
                raise ValueError(f"_a of slot {rank} begins with an action that is not free for it")
            free.remove(chosen)
            cost = _needed("_label_cost", self.cost if outcome.cost is None else outcome.cost)
            observations = [*(outcome.observations or []), *(self.observations or [])]
            choices.append(
                Choice(
                    rank=rank,
                    offer_id=offer_id(context.actions[chosen]),
                    propensity=_propensity(context.actions, of, chosen),
                    # A number alone names what was chosen, not what it was chosen from.
                    candidates=_names(context.actions, eligible if isinstance(outcome.actions, int) else list(of)),
                    reward=_reward(cost),
                    observed=_observed(cost, observations),
                    slot=slot,
                )
            )
        return choices


def _eligible(actions: list[Action], free: list[int], rank: int, slot: Action) -> list[int]:
    """Return what a slot can be given: actions made for it (slates), named by it (`_inc`), or all that are free."""
    if _is_slate(actions):
        return [place for place in free if actions[place].get("_slot_id") == rank - 1]
    included = msgspec.convert(slot.get("_inc") or free, list[int])
    return [place for place in free if place in included]


def _listed(outcome: _SlotOutcome, actions: list[Action], rank: int) -> dict[int, float]:
    """Return the probabilities of the actions of `_a` by their places in `_multi`, the chosen one first."""
    name = f"of slot {rank}"
    numbers = outcome.actions if isinstance(outcome.actions, list) else [outcome.actions]
    given = outcome.probabilities if isinstance(outcome.probabilities, list) else [outcome.probabilities]
    # Slates count the actions of each slot from 0, CCB counts all of them.
    own = [place for place, action in enumerate(actions) if action.get("_slot_id") in (None, rank - 1)]
    places = _places(f"_a {name}", numbers, len(own), first=0)
    _check_lengths(f"_a {name}", places, "_p", given)
    _above_zero(f"_p {name}", given[0])
    return {own[place]: share for place, share in zip(places, _probabilities(f"_p {name}", given), strict=True)}


def _is_slate(actions: list[Action]) -> bool:
    return any("_slot_id" in action for action in actions)


def _needed(name: str, value: T | None) -> T:
    if value is None:
        raise ValueError(f"{name} is missing")
    return value


def _check_lengths(first: str, some: Sequence[object], second: str, others: Sequence[object]) -> None:
    if len(some) != len(others):
        raise ValueError(f"{first} and {second} differ in length: {len(some)} and {len(others)}")


def _places(name: str, numbers: list[int], count: int, *, first: int) -> list[int]:
    """Return places from 0 for actions that are numbered from `first`, or from 0 where 0 is among them."""
    start = 0 if 0 in numbers else first
    places = [number - start for number in numbers]
    if not places or len(set(places)) < len(places) or min(places) < 0 or max(places) >= count:
        raise ValueError(f"{name} must list different actions out of {count}, from {start}")
    return places


def _names(actions: list[Action], places: list[int]) -> list[str]:
    """Return the offers at `places`, each once, in the order of `_multi`."""
    return list(dict.fromkeys(offer_id(actions[place]) for place in sorted(places)))


def _propensity(actions: list[Action], of: dict[int, float], chosen: int) -> float:
    """Return how likely the chosen offer was: real logs list some offers twice, and then each time counts."""
    offer = offer_id(actions[chosen])
    total = sum(share for place, share in of.items() if offer_id(actions[place]) == offer)
    return min(total, 1.0)  # rounding must not make it more than certain


def _above_zero(name: str, probability: float) -> float:
    if not 0 < probability <= 1:
        raise ValueError(f"{name} is {probability:g}, not above 0 and up to 1")
    return probability


def _probabilities(name: str, given: list[float]) -> list[float]:
    for probability in given:
        if not 0 <= probability <= 1:
            raise ValueError(f"{name} holds {probability:g}, which is no probability")
    return given


def _reward(cost: float) -> float:
    if abs(cost) > LARGEST_WEIGHT:
        raise ValueError(f"_label_cost is {cost:g}, the log takes weights of at most {LARGEST_WEIGHT:,.0f}")
    return -cost or 0.0  # no negative zero


def _observed(cost: float, observations: list[Any] | None) -> bool:
    return cost != 0 or any(_says(seen) for seen in observations or ())


def _says(observation: Any) -> bool:
    """Return whether an observation has a reward; one without only activates its event."""
    return observation is not None and (not isinstance(observation, dict) or observation.get("v") is not None)
