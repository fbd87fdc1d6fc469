"""The rules of contact policies, by hand."""

import pytest

from serve.contact_rules import DAY_MS, HOUR_MS, Cooldown, FrequencyLimit, OutcomeBased, Rule, TimeWindow
from storage.clock import parse_iso
from storage.contacts import Contact

NEXT_MONDAY = "2026-03-23T00:00:00Z"
MONDAY = parse_iso("2026-03-16T10:30:00Z")


def contact(daily: int, weekly: int, monthly: int, **outcomes: int) -> Contact:
    counts = {"daily": daily, "weekly": weekly, "monthly": monthly}
    delivered = max((time for name, time in outcomes.items() if name == "impression"), default=None)
    return Contact("o", "cr", "ch", counts, delivered, outcomes)  # type: ignore[arg-type]


MET = [contact(1, 2, 5, impression=MONDAY - HOUR_MS), contact(1, 1, 1, unsubscribe=MONDAY - 3 * DAY_MS)]


@pytest.mark.parametrize(
    ("rule", "until"),
    [
        (FrequencyLimit.model_validate({"maxPerDay": 2}), ["2026-03-17T00:00:00Z"]),
        (FrequencyLimit.model_validate({"maxPerDay": 3}), []),
        (
            FrequencyLimit.model_validate({"maxPerWeek": 3, "maxPerMonth": 6}),
            ["2026-03-23T00:00:00Z", "2026-04-01T00:00:00Z"],
        ),
        (FrequencyLimit.model_validate({"maxPerWeek": 4, "maxPerMonth": 7}), []),
        (Cooldown.model_validate({"cooldownHours": 1.5}), ["2026-03-16T11:00:00Z"]),
        (
            OutcomeBased.model_validate({"afterOutcome": ["unsubscribe", "dismiss"], "suppressForDays": 4}),
            ["2026-03-17T10:30:00Z"],
        ),
        (OutcomeBased.model_validate({"afterOutcome": ["dismiss"], "suppressForDays": 4}), []),
        (TimeWindow.model_validate({"startHour": 10, "endHour": 11}), []),
        (TimeWindow.model_validate({"startHour": 9, "endHour": 10}), ["2026-03-17T09:00:00Z"]),
        (TimeWindow.model_validate({"startHour": 11}), ["2026-03-16T11:00:00Z"]),
        (TimeWindow.model_validate({"allowedDays": ["sun", "sat"]}), ["2026-03-21T00:00:00Z"]),
        (TimeWindow.model_validate({"allowedDays": ["mon"], "endHour": 9}), ["2026-03-23T00:00:00Z"]),
        (TimeWindow.model_validate({"allowedDays": ["mon"]}), []),
    ],
)
def test_a_rule_tells_until_when_it_holds_back(rule: Rule, until: list[str]) -> None:
    assert list(rule.ends_ms(MET, MONDAY)) == [parse_iso(time) for time in until]
    if not isinstance(rule, TimeWindow):
        assert list(rule.ends_ms([], MONDAY)) == []
