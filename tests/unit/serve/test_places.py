"""Places that are shared: one caller alone gets half, and whoever comes anew finds some."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from serve.places import Places

TOTAL = 60


def greedy(places: Places, callers: str) -> Counter[str]:
    """Let callers take one place each in turn until none gets another; return what they hold."""
    held: Counter[str] = Counter()
    before = -1
    while held.total() > before:
        before = held.total()
        held.update([one for one in callers if places.take(one)])
    return held


def test_one_alone_holds_half_and_leaves_a_third_to_each_of_two() -> None:
    assert greedy(Places(TOTAL), "a") == {"a": 30}
    assert greedy(Places(TOTAL), "ab") == {"a": 20, "b": 20}
    places = Places(TOTAL)
    greedy(places, "a")
    assert greedy(places, "b") == {"b": 15}, "until a gives some back"


def test_more_than_there_are_is_given_when_nobody_holds_any() -> None:
    places = Places(10)
    assert places.take("a", 100)
    assert not places.take("b")
    places.give_back("a", 100)
    assert places.take("b", 5)


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(1, 5), st.booleans())))
def test_nothing_is_counted_twice_and_who_comes_anew_finds_a_place(steps: list[tuple[str, int, bool]]) -> None:
    places, held = Places(TOTAL), Counter[str]()
    for caller, count, back in steps:
        if not back:
            got = places.take(caller, count)
            assert got == (not held.total() or held[caller] + count <= TOTAL - held.total())
            held[caller] += count * got
        elif held[caller] >= count:
            places.give_back(caller, count)
            held[caller] -= count
        assert places.taken == held.total()
        assert places.take("new")
        places.give_back("new")
    for caller, count in held.items():
        if count:
            places.give_back(caller, count)
    assert places.taken == 0
    assert not places._of, "who holds none is forgotten"
