"""Attribution: which share of a conversion each touch before it has earned. All of it is pure."""

from collections.abc import Sequence
from decimal import ROUND_FLOOR, ROUND_HALF_EVEN, Decimal, localcontext
from typing import Final, Literal, TypeAlias, get_args

AttributionModel: TypeAlias = Literal["first_touch", "last_touch", "linear", "time_decay", "position_based"]
MODELS: Final[tuple[AttributionModel, ...]] = get_args(AttributionModel)
WINDOW_MS: Final = 30 * 86_400_000
"""How long before a conversion a touch counts."""
HALF_LIFE_MS: Final = 7 * 86_400_000
"""In `time_decay` a touch is worth half of one that came so much later."""
_END_SHARE: Final = 0.4
"""What the first and the last touch each get in `position_based`; those between share the rest."""
_CENT: Final = Decimal("0.01")
_DIGITS: Final = 350
"""The largest float has 309 digits before the point."""


def credits_of(model: AttributionModel, times_ms: Sequence[int], conversion_ms: int) -> list[float]:
    """Return each touch's share of a conversion; they sum to 1, up to rounding of floats.

    Args:
        model: How the shares are made.
        times_ms: When the touches were, oldest first.
        conversion_ms: When the conversion was.

    >>> credits_of("position_based", [0, 1, 2, 3], 4)
    [0.4, 0.1, 0.1, 0.4]
    """
    count = len(times_ms)
    if count == 0:
        return []
    match model:
        case "first_touch":
            weights = [1.0] + [0.0] * (count - 1)
        case "last_touch":
            weights = [0.0] * (count - 1) + [1.0]
        case "linear":
            weights = [1.0] * count
        case "time_decay":
            weights = [0.5 ** ((conversion_ms - time) / HALF_LIFE_MS) for time in times_ms]
        case "position_based":
            weights = _by_position(count)
    total = sum(weights)
    return [weight / total for weight in weights]


def _by_position(count: int) -> list[float]:
    if count <= 2:
        return [1.0] * count
    between = (1 - 2 * _END_SHARE) / (count - 2)
    return [_END_SHARE, *[between] * (count - 2), _END_SHARE]


def values_of(total: float, shares: Sequence[float]) -> list[float]:
    """Return each touch's part of a value, in whole cents; they sum to `total` rounded to cents.

    Parts are rounded, and the first touch takes what is left over. Where it cannot pay for all that was rounded up,
    parts are rounded down.

    >>> values_of(100.0, [1 / 3, 1 / 3, 1 / 3])
    [33.34, 33.33, 33.33]
    """
    if not shares:
        return []
    with localcontext(prec=_DIGITS):
        whole = Decimal(repr(total)).quantize(_CENT, ROUND_HALF_EVEN)
        for rounding in (ROUND_HALF_EVEN, ROUND_FLOOR):
            parts = [(whole * Decimal(repr(share))).quantize(_CENT, rounding) for share in shares]
            first = parts[0] + whole - sum(parts)
            if first >= 0:
                break
    return [float(first), *map(float, parts[1:])]
