"""What learners answer to those who ask."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeAlias

ModelState: TypeAlias = dict[str, Any]
"""The answer of `/algorithm-models/{id}/state`, times in ms."""

ModelOf: TypeAlias = tuple[str, str]
"""A tenant and the id of one of its models; `CHAMPION` stands for whichever is the champion."""
CHAMPION: Final = ""
Known: TypeAlias = tuple[int, int]
"""What a replica holds of a model: the log position it is true for, and the model's version."""


class Published(NamedTuple):
    """A model at a log position. `snapshot` is packed, None where the version is the one known."""

    position: int
    version: int
    snapshot: bytes | None


class Scored(NamedTuple):
    """What a model says of some offers, in their order, at a log position."""

    scores: list[float]
    means: list[float]
    position: int


@dataclass(frozen=True, slots=True)
class LearnerStatus:
    """Where a learner stands: `behind` entries are in the log and not learned, since at most `lag_ms`."""

    name: str
    partitions: int
    behind: int
    lag_ms: int
    positions: Mapping[int, int]
    archive_error: str | None = None
    """Why its logs cannot be archived at the moment."""
