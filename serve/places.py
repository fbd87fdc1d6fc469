"""Places that callers share, so that whoever wants them all leaves some to the others."""

from collections.abc import Hashable


class Places:
    """So many places, of which a caller gets another while no fewer are free than it holds.

    A caller alone holds at most half, two that want all a third each, and so on: one that comes anew always finds
    some. These are the dynamic thresholds by which switches share their buffers (Choudhury and Hahne, 1998), α = 1.

    Args:
        total: how many there are.
    """

    def __init__(self, total: int) -> None:
        self._total = total
        self._of: dict[Hashable, int] = {}
        self.taken = 0
        """Held by all callers."""

    def take(self, caller: Hashable, count: int = 1) -> bool:
        """Give places to a caller, any number if nobody holds some; return whether it got them."""
        held = self._of.get(caller, 0)
        if self.taken and held + count > self._total - self.taken:
            return False
        self._of[caller] = held + count
        self.taken += count
        return True

    def give_back(self, caller: Hashable, count: int = 1) -> None:
        """Take back `count` places that a caller holds."""
        left = self._of[caller] - count
        if left:
            self._of[caller] = left
        else:
            del self._of[caller]
        self.taken -= count
