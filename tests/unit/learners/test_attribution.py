"""The five models of attribution against cases worked out by hand, and their sums for any history."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from learners.attribution import MODELS, AttributionModel, credits_of, values_of

DAY = 86_400_000
TIMES = [0, 7 * DAY, 14 * DAY]
"""With a conversion at day 14, time decay weighs 1/4, 1/2, 1."""
BY_HAND: dict[AttributionModel, tuple[list[float], list[float]]] = {
    "first_touch": ([1, 0, 0], [100.01, 0, 0]),
    "last_touch": ([0, 0, 1], [0, 0, 100.01]),
    "linear": ([1 / 3, 1 / 3, 1 / 3], [33.33, 33.34, 33.34]),
    "time_decay": ([1 / 7, 2 / 7, 4 / 7], [14.29, 28.57, 57.15]),
    "position_based": ([0.4, 0.2, 0.4], [40.01, 20.0, 40.0]),
}


@pytest.mark.parametrize("model", MODELS)
def test_three_touches_by_hand(model: AttributionModel) -> None:
    shares, values = BY_HAND[model]
    found = credits_of(model, TIMES, 14 * DAY)
    assert found == pytest.approx(shares, abs=1e-15)
    assert values_of(100.01, found) == values


def test_position_based_with_few_and_many_touches() -> None:
    assert credits_of("position_based", [1], 2) == [1.0]
    assert credits_of("position_based", [1, 1], 2) == [0.5, 0.5]
    assert credits_of("position_based", [1, 2, 3, 4], 5) == pytest.approx([0.4, 0.1, 0.1, 0.4])


@pytest.mark.parametrize("model", MODELS)
def test_without_touches_nothing_is_due(model: AttributionModel) -> None:
    assert credits_of(model, [], 5) == []
    assert values_of(5.0, []) == []


def test_rounding_up_never_takes_more_than_there_is() -> None:
    assert values_of(0.03, [0.2] * 5) == [0.03, 0.0, 0.0, 0.0, 0.0]


@given(
    st.sampled_from(MODELS),
    st.lists(st.integers(0, 30 * DAY), max_size=60).map(sorted),
    st.one_of(st.integers(0, 10**12).map(lambda cents: cents / 100), st.floats(0, 1e300, allow_nan=False)),
)
def test_credits_sum_to_one_and_cents_to_the_total(model: AttributionModel, times: list[int], total: float) -> None:
    shares = credits_of(model, times, 30 * DAY)
    values = values_of(total, shares)
    assert len(shares) == len(values) == len(times)
    if not times:
        return
    assert math.fsum(shares) == pytest.approx(1, abs=1e-12)
    assert min(shares) >= 0
    assert min(values) >= 0
    if total < 1e13:  # beyond, floats hold no cents
        assert sum(round(value * 100) for value in values) == round(total * 100) or total * 100 % 1 == 0.5
