"""Replay: a model rebuilt from a log, through the very fold that runs live."""

import json
import resource
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from learners.bandits import BanditFold, ModelView, WarmStart
from learners.spec import ModelSpec
from storage.entry import Entry, ModelChange
from storage.log_source import END, LogSource
from storage.outcomes import Outcomes

REPORTED: Final = 10_000
"""Entries between two words about progress."""


@dataclass(frozen=True, slots=True)
class Unit:
    """One model of one tenant to rebuild, from the log's start up to position `until`.

    With `spec` it is a model that the log does not know, there from the start.
    """

    tenant: str
    model_id: str
    spec: ModelSpec | None = None
    until: int = END


@dataclass(frozen=True, slots=True)
class Replayed:
    """A model as the log makes it. `digest` is the SHA-256 of its state, in hex."""

    unit: Unit
    view: ModelView
    digest: str
    arms: str
    """What it believes of each offer, as a JSON list."""
    entries: int
    """Entries of the tenant that were read, decisions included."""
    peak_memory_bytes: int
    """The most memory that the process which did it has ever held."""


def replay(source: LogSource, unit: Unit, advance: Callable[[int], None]) -> Replayed:
    """Return the model that a log makes.

    Args:
        source: the log.
        unit: which model.
        advance: is told how many entries more have been read.

    Raises:
        LogError: the log cannot be read.
    """
    fold = BanditFold()
    if unit.spec is not None:
        fold.apply([Entry(0, 0, _made(unit, unit.spec))])
    total = told = 0

    def count(entries: int) -> None:
        nonlocal total, told
        total += entries
        if total - told >= REPORTED:
            advance(total - told)
            told = total

    for batch in source.batches(unit.tenant, unit.until, count):
        if isinstance(batch, Outcomes):
            fold.apply_columns(batch)
            continue
        own = [entry for entry in batch if _concerns(entry, unit)]
        for entry in fold.warm_starts(own):
            fold.warm(entry, _warmed(entry, source.batches(unit.tenant, entry.position - 1)))
        fold.apply(own)
    advance(total - told)
    view = fold.model(unit.tenant, unit.model_id)
    if view is None:
        raise LookupError(f"the log makes no model {unit.model_id} up to position {unit.until}")
    arms = fold.arms(unit.tenant, unit.model_id)
    return Replayed(
        unit,
        view,
        fold.digest(unit.tenant, unit.model_id),
        msgspec.json.encode(arms).decode(),
        total,
        _peak_bytes(),
    )


def _made(unit: Unit, spec: ModelSpec) -> ModelChange:
    config = json.dumps(spec.config, separators=(",", ":"))
    return ModelChange(unit.tenant, unit.model_id, unit.model_id, spec.model_type, "champion", config)


def _concerns(entry: Entry, unit: Unit) -> bool:
    """Whether the model sees the entry: changes of other models are nothing to it."""
    change = entry.body
    return not isinstance(change, ModelChange) or (unit.spec is None and change.model_id == unit.model_id)


def _warmed(entry: Entry, before: Iterator[Sequence[Entry] | Outcomes]) -> WarmStart:
    start = WarmStart(entry)
    for batch in before:
        if isinstance(batch, Outcomes):
            start.apply_columns(batch)
        else:
            start.apply(batch)
    return start


def _peak_bytes() -> int:
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used if sys.platform == "darwin" else used * 1024
