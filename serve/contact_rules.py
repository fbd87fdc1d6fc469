"""The rules that a contact policy may follow: each tells until when a customer is left alone."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Annotated, Final, Literal, TypeAlias

from pydantic import Field, model_validator

from serve.fields import Body, Id
from storage.caps import reset_ms
from storage.clock import EPOCH
from storage.contacts import Contact
from storage.periods import Period

HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS
MAX_DAYS: Final = 3_650

RuleType: TypeAlias = Literal["frequency_cap", "cooldown", "outcome_based", "time_window"]
Day: TypeAlias = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DAYS: Final[tuple[Day, ...]] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
Count = Annotated[int, Field(ge=1, le=100_000)]


class FrequencyLimit(Body):
    """At most so many deliveries to a customer in a UTC day, ISO week or month."""

    max_per_day: Count | None = None
    max_per_week: Count | None = None
    max_per_month: Count | None = None

    @model_validator(mode="after")
    def _limits_something(self) -> "FrequencyLimit":
        if not self.limits:
            raise ValueError("must have one of maxPerDay, maxPerWeek and maxPerMonth")
        return self

    @property
    def limits(self) -> dict[Period, int]:
        """The limits that are given, by period."""
        given: dict[Period, int | None] = {
            "daily": self.max_per_day,
            "weekly": self.max_per_week,
            "monthly": self.max_per_month,
        }
        return {period: limit for period, limit in given.items() if limit is not None}

    def ends_ms(self, met: Sequence[Contact], now_ms: int) -> Iterable[int]:
        """Return when each period ends whose limit is reached."""
        for period, limit in self.limits.items():
            if sum(one.deliveries[period] for one in met) >= limit:
                yield reset_ms(period, now_ms)


class Cooldown(Body):
    """So many hours between deliveries to a customer."""

    cooldown_hours: Annotated[float, Field(gt=0, le=MAX_DAYS * 24)]

    def ends_ms(self, met: Sequence[Contact], _now_ms: int) -> Iterable[int]:
        """Return when the pause after each latest delivery ends."""
        pause_ms = round(self.cooldown_hours * HOUR_MS)
        return [one.delivered_ms + pause_ms for one in met if one.delivered_ms is not None]


class OutcomeBased(Body):
    """So many days without deliveries after some outcomes."""

    after_outcome: Annotated[list[Id], Field(min_length=1, max_length=100)]
    suppress_for_days: Annotated[float, Field(gt=0, le=MAX_DAYS)]

    def ends_ms(self, met: Sequence[Contact], _now_ms: int) -> Iterable[int]:
        """Return when the silence after the latest outcome of each kind ends."""
        silence_ms = round(self.suppress_for_days * DAY_MS)
        times = [one.outcomes_ms.get(key) for one in met for key in self.after_outcome]
        return [time + silence_ms for time in times if time is not None]


class TimeWindow(Body):
    """Deliveries on these days, from `startHour` up to `endHour` (UTC), alone."""

    allowed_days: Annotated[list[Day], Field(min_length=1, max_length=7)] = list(DAYS)
    start_hour: Annotated[int, Field(ge=0, le=23)] = 0
    end_hour: Annotated[int, Field(ge=1, le=24)] = 24

    @model_validator(mode="after")
    def _opens(self) -> "TimeWindow":
        if self.start_hour >= self.end_hour:
            raise ValueError("must have a startHour before its endHour")
        return self

    def ends_ms(self, _met: Sequence[Contact], now_ms: int) -> Iterable[int]:
        """Return when the window opens next; nothing while it is open."""
        now = EPOCH + timedelta(milliseconds=now_ms)
        if DAYS[now.weekday()] in self.allowed_days and self.start_hour <= now.hour < self.end_hour:
            return []
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
        starts = (midnight + timedelta(days=ahead, hours=self.start_hour) for ahead in range(8))
        start = next(one for one in starts if one > now and DAYS[one.weekday()] in self.allowed_days)
        return [(start - EPOCH) // timedelta(milliseconds=1)]


Rule: TypeAlias = FrequencyLimit | Cooldown | OutcomeBased | TimeWindow
RULES: Final[Mapping[RuleType, type[Rule]]] = {
    "frequency_cap": FrequencyLimit,
    "cooldown": Cooldown,
    "outcome_based": OutcomeBased,
    "time_window": TimeWindow,
}
