"""Faults are drawn by a seed, and what tells two states apart is told."""

import random
from collections import Counter
from typing import Any

import pytest

from tests.faults.torture.evidence import difference
from tests.faults.torture.faults import FAULTS, Deck


@pytest.mark.parametrize("seed", range(5))
def test_each_fault_comes_once_before_any_comes_again(seed: int) -> None:
    deck = Deck(seed, FAULTS)
    for rounds in (1, 2, 3):
        drawn = Counter(deck.draw() for _ in FAULTS)
        assert set(drawn) == set(FAULTS), rounds
        assert set(drawn.values()) == {1}


def test_a_seed_gives_one_order_and_another_seed_another() -> None:
    def order(seed: int) -> list[str]:
        deck = Deck(seed, FAULTS)
        return [deck.draw() for _ in range(30)]

    assert order(1) == order(1)
    assert order(1) != order(2)


def test_a_fault_s_own_choices_are_the_seed_s() -> None:
    assert isinstance(Deck(1, FAULTS).rng, random.Random)
    assert Deck(1, FAULTS).rng.random() == Deck(1, FAULTS).rng.random() != Deck(2, FAULTS).rng.random()


@pytest.mark.parametrize(
    ("fresh", "live", "where"),
    [
        ({"a": [1, {"b": 2}]}, {"a": [1, {"b": 3}]}, "/a/1/b: 2 in the fold, 3 in the checkpoint"),
        ({"a": 1}, {"b": 1}, ": {'a': 1} in the fold, {'b': 1} in the checkpoint"),
        ([1], [1, 2], ": [1] in the fold, [1, 2] in the checkpoint"),
        (1, 1.0, ": 1 in the fold, 1.0 in the checkpoint"),
        ({"a": [1, 2.5, None, b"x"]}, {"a": [1, 2.5, None, b"x"]}, ""),
    ],
)
def test_the_first_difference_is_told(fresh: Any, live: Any, where: str) -> None:
    assert difference(fresh, live) == where
