"""Model SPECs of the command line."""

import doctest

import pytest

from learners import spec
from learners.errors import ConfigError
from learners.spec import parse_spec


def test_the_examples_of_the_docstrings() -> None:
    assert doctest.testmod(spec).failed == 0


def test_a_bare_type_has_its_defaults() -> None:
    (only,) = parse_spec("lin_ucb")
    assert (only.text, only.model_type, only.config) == ("lin_ucb", "lin_ucb", {})


def test_lists_sweep_in_every_combination() -> None:
    specs = parse_spec("ucb:variant=[ucb1,kl_ucb],explore=[1,2]")
    assert [one.config for one in specs] == [
        {"variant": variant, "explore": explore} for variant in ("ucb1", "kl_ucb") for explore in (1, 2)
    ]


def test_objects_may_be_written_out_or_with_dots() -> None:
    assert parse_spec("ucb:halfLife={events: 9}")[0].config == parse_spec("ucb:halfLife.events=9")[0].config


def test_a_list_of_a_list_is_one_value() -> None:
    rule = "{field: tier, operator: eq, value: gold, points: 1}"
    (only,) = parse_spec(f"scorecard:rules=[[{rule}]]")
    assert only.config == {"rules": [{"field": "tier", "operator": "eq", "value": "gold", "points": 1}]}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nonsense", "modelType must be one of"),
        ("lin_ts:explore=-1", "config.explore"),
        ("lin_ts:explor=1", "config.explor"),
        ("lin_ts:explore", "must be key=value"),
        ("lin_ts:explore=[", "explore:"),
        ("lin_ts:seed=[]", "stands for 0 models"),
        ("lin_ts:halfLife=1,halfLife.events=2", "given twice"),
        ("lin_ts:", ""),
    ],
)
def test_what_cannot_be_is_told_in_one_line(text: str, said: str) -> None:
    if not said:
        assert parse_spec(text)[0].config == {}
        return
    with pytest.raises(ConfigError, match=said) as caught:
        parse_spec(text)
    assert "\n" not in str(caught.value)
