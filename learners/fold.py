"""A fold: state that is a function of the log's entries and nothing else."""

from collections.abc import Sequence
from typing import Any, Protocol

from storage.entry import Entry


class Fold(Protocol):
    """Something that entries are applied to, in order, each once."""

    def apply(self, entries: Sequence[Entry]) -> None:
        """Take the next entries; how they are cut into batches makes no difference, bit for bit."""

    def state(self) -> Any:
        """Return everything, in a form that msgpack writes, in a fixed order."""

    def restore(self, state: Any) -> None:
        """Become what `state` was taken from."""
