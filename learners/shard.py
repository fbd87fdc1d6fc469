"""A shard: the folds of one partition and the position they stand at."""

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Final

import msgspec

from learners.bandits import BanditFold, WarmStart
from learners.errors import CheckpointError, PositionGap
from learners.fold import Fold
from storage.entry import Entry, Outcome

VERSION: Final = 3
"""Of the state's form; raised when code can no longer read what older code wrote."""


class Shard:
    """Applies each entry of its partition's log to its folds once, in order."""

    def __init__(self, partition: int) -> None:
        self.partition = partition
        self.bandits = BanditFold()
        self.folds: Mapping[str, Fold] = {"bandits": self.bandits}
        self.position = 0
        """The last entry applied; 0 before the first."""
        self.outcomes = 0
        """Outcomes applied since this object was made; no part of the state."""

    @property
    def tenants(self) -> Sequence[str]:
        """The tenants that the log has told of."""
        return self.bandits.tenants

    def apply_left(self, entries: Sequence[Entry], last: int) -> None:
        """Apply what is left of a run of positions, and stand at its `last`; the rest is kept no longer.

        Raises:
            HistoryNeeded: as `apply`.
        """
        fresh = [entry for entry in entries if entry.position > self.position]
        self._fold(fresh)
        self.position = max(self.position, last)

    def apply(self, entries: Sequence[Entry]) -> int:
        """Apply what comes next, pass over what was applied before; return how many entries were new.

        Raises:
            PositionGap: an entry is missing; those before it were applied.
            HistoryNeeded: one makes a model that starts from the log; nothing was applied.
        """
        fresh: list[Entry] = []
        expected = self.position + 1
        for entry in entries:
            if entry.position == expected:
                fresh.append(entry)
                expected += 1
            elif entry.position > expected:
                break
        self._fold(fresh)
        self.position = expected - 1
        if entries and entries[-1].position > self.position:
            raise PositionGap(f"partition {self.partition}: position {expected} is missing")
        return len(fresh)

    def state(self) -> bytes:
        """Return everything: the same bytes for the same entries, however they came."""
        folds = {name: fold.state() for name, fold in self.folds.items()}
        return msgspec.msgpack.encode([VERSION, self.partition, self.position, folds])

    def restore(self, state: bytes) -> None:
        """Become what `state` was taken from.

        Raises:
            CheckpointError: it is not a state of this partition in a version that this code reads.
        """
        try:
            version, partition, position, folds = msgspec.msgpack.decode(state)
        except (msgspec.DecodeError, ValueError, TypeError) as error:
            raise CheckpointError(f"partition {self.partition}: not a checkpoint: {error}") from error
        if (version, partition) != (VERSION, self.partition):
            raise CheckpointError(
                f"checkpoint of partition {partition}, version {version}; wanted {self.partition}, {VERSION}"
            )
        for name, fold in self.folds.items():
            fold.restore(folds[name])
        self.position = position

    def digest(self) -> str:
        """Return the SHA-256 of the state, in hex."""
        return sha256(self.state()).hexdigest()

    def _fold(self, fresh: Sequence[Entry]) -> None:
        for fold in self.folds.values():
            fold.apply(fresh)
        self.outcomes += sum(isinstance(entry.body, Outcome) for entry in fresh)


def fold_log(partition: int, batches: Sequence[Sequence[Entry]]) -> Shard:
    """Return the shard that a partition's log makes, from position 1 on.

    Raises:
        PositionGap: the log lacks a position.
    """
    shard = Shard(partition)
    for entries in batches:
        for entry in shard.bandits.warm_starts(entries):
            start = WarmStart(entry)
            for earlier in batches:
                start.apply(earlier)
            shard.bandits.warm(entry, start)
        shard.apply(entries)
    return shard
