"""Days, ISO weeks and months, as summaries and frequency caps name them."""

from datetime import date
from typing import Literal, TypeAlias

Period: TypeAlias = Literal["daily", "weekly", "monthly"]


def period_key(period: Period, day: date) -> str:
    """Return the name of the period that a day lies in.

    >>> [period_key(period, date(1970, 1, 1)) for period in ("daily", "weekly", "monthly")]
    ['1970-01-01', '1970-W01', '1970-01']
    """
    match period:
        case "daily":
            return day.isoformat()
        case "weekly":
            year, week, _ = day.isocalendar()
            return f"{year:04d}-W{week:02d}"
        case "monthly":
            return day.isoformat()[:7]
