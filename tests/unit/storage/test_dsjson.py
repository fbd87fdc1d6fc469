import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from storage.importers.dsjson import read_dsjson
from storage.importers.vw_features import flatten, offer_id
from storage.public_log import BadLine, DamagedFile, DecisionLine, LogWriter, OutcomeLine, Shown, read_log

COFFEE = [
    {"_tag": "Mocha", "i": {"constant": 1, "id": "Mocha"}, "j": [{"roast": "light"}]},
    {"_tag": "Latte", "i": {"constant": 1, "id": "Latte"}, "j": [{"roast": "dark"}]},
    {"_tag": "Cold brew", "i": {"constant": 1, "id": "Cold brew"}, "j": [{"roast": "dark"}]},
]


def bandit(**changed: Any) -> dict[str, Any]:
    """A click on the third of three coffees, which had been shown with probability 0.1; null takes a field away."""
    event = {
        "_label_cost": -1.5,
        "_label_probability": 0.10000000149011612,
        "_label_Action": 3,
        "_labelIndex": 2,
        "o": [{"v": 1.5, "EventId": "e1", "ActionTaken": False}],
        "Timestamp": "2021-02-04T16:31:29.2469999Z",
        "Version": "1",
        "EventId": "e1",
        "a": [3, 1, 2],
        "c": {"User": [{"name": "Cathy", "visits": 3}], "mobile": True, "_synthetic": False, "_multi": COFFEE},
        "p": [0.1, 0.8, 0.1],
        "VWState": {"m": "f1/d2"},
        "_original_label_cost": -1.5,
    }
    return {name: value for name, value in (event | changed).items() if value is not None}


def slots(*outcomes: dict[str, Any], **changed: Any) -> dict[str, Any]:
    context = {"hour": 9, "_multi": COFFEE, "_slots": [{"_id": "top", "size": "L"}, {"_id": "side", "size": "S"}]}
    event = {"Timestamp": "2021-04-26T17:23:28", "EventId": "e1", "c": context, "_outcomes": list(outcomes)}
    return event | changed


def write(path: Path, *events: dict[str, Any] | str) -> Path:
    path.write_text("".join((event if isinstance(event, str) else json.dumps(event)) + "\n" for event in events))
    return path


def of(directory: Path, *events: dict[str, Any] | str) -> list[DecisionLine | OutcomeLine]:
    return list(read_dsjson(write(directory / "log.dsjson", *events)))


def decisions(lines: list[DecisionLine | OutcomeLine]) -> list[DecisionLine]:
    return [line for line in lines if isinstance(line, DecisionLine)]


def outcomes(lines: list[DecisionLine | OutcomeLine]) -> list[OutcomeLine]:
    return [line for line in lines if isinstance(line, OutcomeLine)]


def test_an_event_becomes_a_decision_and_its_outcome(tmp_path: Path) -> None:
    decision, outcome = of(tmp_path, bandit())

    assert decision == DecisionLine(
        time="2021-02-04T16:31:29.246Z",
        customer_id="e1",
        features={"User.name": "Cathy", "User.visits": 3, "mobile": True},
        recommendation_id="e1",
        model_key="f1/d2",
        candidates=["Mocha", "Latte", "Cold brew"],
        decisions=[Shown(1, "Cold brew", None, 0.10000000149011612)],
    )
    assert outcome == OutcomeLine(
        time="2021-02-04T16:31:29.246Z",
        customer_id="e1",
        features=decision.features,
        interaction_id="int-e1",
        recommendation_id="e1",
        rank=1,
        offer_id="Cold brew",
        outcome="reward",
        classification="positive",
        weight=1.5,
        value=1.5,
    )


@pytest.mark.parametrize(
    ("cost", "observations", "reward"),
    [
        (0, None, None),
        (-0.0, [], None),
        (0, [{"EventId": "e1", "ActionTaken": True}], None),
        (0, [{"v": None}], None),
        (0, [{"v": 0.0}], 0.0),
        (0, [{"EventId": "e1"}, {"v": {"clicks": 0, "seconds": 7}}], 0.0),
        (-2, None, 2.0),
        (0.25, [{"v": -0.25}], -0.25),
    ],
)
def test_an_outcome_is_what_was_observed(
    tmp_path: Path, cost: float, observations: list[Any] | None, reward: float | None
) -> None:
    lines = of(tmp_path, bandit(_label_cost=cost, o=observations))

    told = [(line.classification, line.outcome, line.weight, line.value) for line in outcomes(lines)]
    if reward is None:
        assert told == []
    elif reward > 0:
        assert told == [("positive", "reward", reward, reward)]
    else:
        assert told == [("negative", "no_reward", -1.0, reward)]
    assert len(decisions(lines)) == 1


def test_slots_of_ccb_are_decisions_of_their_own(tmp_path: Path) -> None:
    lines = of(
        tmp_path,
        slots(
            {"_label_cost": -0.5, "_a": [2, 0, 1], "_p": [0.2, 0.3, 0.5], "_o": [{"v": 0.5}]},
            {"_label_cost": 0, "_a": [1, 0], "_p": [0.75, 0.25], "_o": []},
        ),
    )

    top, side = decisions(lines)
    assert (top.recommendation_id, side.recommendation_id) == ("e1/1", "e1/2")
    assert (top.candidates, top.decisions) == (["Mocha", "Latte", "Cold brew"], [Shown(1, "Cold brew", None, 0.2)])
    # The first slot took the cold brew, so the second could not.
    assert (side.candidates, side.decisions) == (["Mocha", "Latte"], [Shown(2, "Latte", None, 0.75)])
    assert side.features == {"hour": 9, "slot.size": "S"}
    assert side.customer_id == top.customer_id == "e1"
    assert [(line.recommendation_id, line.rank, line.weight) for line in outcomes(lines)] == [("e1/1", 1, 0.5)]


def test_a_number_alone_was_chosen_from_what_its_slot_includes(tmp_path: Path) -> None:
    event = slots({"_label_cost": 0, "_a": 2, "_p": 0.25}, {"_label_cost": 0, "_a": 0, "_p": 0.5, "_o": [0]})
    event["c"]["_slots"][1]["_inc"] = [0, 2]
    lines = of(tmp_path, event)

    assert [line.candidates for line in decisions(lines)] == [["Mocha", "Latte", "Cold brew"], ["Mocha"]]
    assert [line.weight for line in outcomes(lines)] == [-1.0]  # an observed 0


def test_slots_of_a_slate_share_its_reward(tmp_path: Path) -> None:
    actions = [{"_slot_id": 0, "f": 1}, {"_slot_id": 1, "f": 2}, {"_slot_id": 0, "f": 3}, {"_slot_id": 1, "f": 4}]
    event = slots({"_a": [1, 0], "_p": [0.6, 0.4]}, {"_a": [0, 1], "_p": [0.9, 0.1]}, _label_cost=-2)
    event["c"]["_multi"] = actions
    first, second, third, fourth = (offer_id(action) for action in actions)

    lines = of(tmp_path, event)

    shown = [(line.candidates, line.decisions) for line in decisions(lines)]
    assert shown == [
        ([first, third], [Shown(1, third, None, 0.6)]),
        ([second, fourth], [Shown(2, second, None, 0.9)]),
    ]
    assert [(line.rank, line.weight) for line in outcomes(lines)] == [(1, 2.0), (2, 2.0)]


def test_an_offer_listed_twice_is_as_likely_as_both(tmp_path: Path) -> None:
    decision = of(tmp_path, bandit(c={"_multi": [COFFEE[0], COFFEE[1], COFFEE[0]]}, p=[0.1, 0.65, 0.25]))[0]

    assert isinstance(decision, DecisionLine)
    assert decision.candidates == ["Mocha", "Latte"]
    assert decision.decisions[0].propensity == pytest.approx(
        0.75
    )  # 0.1 + 0.65; e-9 off by the 32 bits of the label


def test_actions_may_be_numbered_from_0(tmp_path: Path) -> None:
    decision = of(tmp_path, bandit(a=[2, 0, 1]))[0]

    assert isinstance(decision, DecisionLine)
    assert decision.decisions[0].offer_id == "Cold brew"


@pytest.mark.parametrize("missing", ["_label_Action", "_labelIndex"])
def test_one_of_the_labels_names_the_action(tmp_path: Path, missing: str) -> None:
    assert of(tmp_path, bandit(**{missing: None})) == of(tmp_path, bandit())


def test_events_without_id_or_time_are_named_by_their_line(tmp_path: Path) -> None:
    bare = bandit(EventId=None, Timestamp=None)
    lines = decisions(of(tmp_path, bare, "", bandit(), bare))

    assert [line.recommendation_id for line in lines] == ["log-1", "e1", "log-4"]
    assert [line.time[:19] for line in lines] == [
        "1970-01-01T00:00:00",
        "2021-02-04T16:31:29",
        "2021-02-04T16:31:29",
    ]


@pytest.mark.parametrize(
    ("changed", "kept"),
    [
        ({"_skipLearn": True}, False),
        ({"_deferred": True}, False),
        ({"DeferredAction": True, "o": None}, False),
        ({"DeferredAction": True, "o": [{"EventId": "e1", "DeferredAction": False}]}, True),
        ({"_skipLearn": False, "DeferredAction": False}, True),
    ],
)
def test_what_was_never_activated_is_left_out_and_told(
    tmp_path: Path, changed: dict[str, Any], *, kept: bool
) -> None:
    notes: list[str] = []
    path = write(tmp_path / "log.dsjson", bandit(EventId="e0"), bandit(**changed))

    lines = list(read_dsjson(path, on_note=notes.append))

    assert ("e1" in [line.customer_id for line in lines]) == kept
    assert [("_skipLearn" in note, note[-3:]) for note in notes] == ([] if kept else [(True, ": 1")])


def test_events_dropped_alike_are_told_and_others_refused(tmp_path: Path) -> None:
    notes: list[str] = []
    path = write(
        tmp_path / "log.dsjson",
        bandit(pdrop=0.75),
        bandit(EventId="e2", pdrop=0.75),
        bandit(EventId="e3"),
        bandit(EventId="e4", pdrop=0.5),
    )
    told: list[BadLine] = []

    lines = decisions(list(read_dsjson(path, told.append, notes.append)))

    assert [line.customer_id for line in lines] == ["e1", "e2"]
    assert [bad.number for bad in told] == [3, 4]
    assert "pdrop is 0.5 after 0.75" in told[1].reason
    assert len(notes) == 1
    assert "0.25 of the events were kept" in notes[0]


def test_another_cost_observed_than_to_be_learned_is_told(tmp_path: Path) -> None:
    notes: list[str] = []
    path = write(tmp_path / "log.dsjson", bandit(_original_label_cost=0.0))

    assert [line.weight for line in outcomes(list(read_dsjson(path, on_note=notes.append)))] == [1.5]
    assert "_original_label_cost" in notes[0]


BAD: dict[str, tuple[dict[str, Any] | str, str]] = {
    "garbage": ("{not json", "malformed"),
    "no object": ("[1, 2]", "object"),
    "a string": ('"event"', "object"),
    "binary": ("\x00\x01", "malformed"),
    "too deep": ('{"c":{"x":' + "[" * 100_000, "recursion"),
    "observation alone": ({"RewardValue": 1.0, "EventId": "e9", "Observations": [{"v": 1.0}]}, "c is missing"),
    "continuous action": (
        bandit(_label_ca={"cost": 0.6, "pdf_value": 0.1, "action": 185.1}),
        "_label_ca",
    ),
    "other version": (bandit(Version="2"), "Version is '2'"),
    "time": (bandit(Timestamp="yesterday"), "yesterday"),
    "no actions": (bandit(c={"User": {}}), "_multi is missing or empty"),
    "no cost": (bandit(_label_cost=None), "_label_cost is missing"),
    "cost NaN": (bandit(_label_cost="NaN"), "_label_cost"),
    "no probability": (bandit(_label_probability=None), "_label_probability is missing"),
    "a cost beyond measure": (
        bandit(_label_cost=-2e6),
        "_label_cost is -2e+06, the log takes weights of at most 1,000,000",
    ),
    "probability 0": (bandit(_label_probability=0), "_label_probability is 0, not above 0 and up to 1"),
    "probability above 1": (bandit(_label_probability=1.01), "_label_probability is 1.01"),
    "probability negative": (bandit(_label_probability=-0.5), "_label_probability is -0.5"),
    "p holds no probability": (bandit(p=[0.1, 1.8, 0.1]), "p holds 1.8"),
    "p says otherwise": (bandit(p=[0.2, 0.7, 0.1]), "_label_probability is 0.1, but p says 0.2"),
    "no a": (bandit(a=None), "a is missing"),
    "no p": (bandit(p=None), "p is missing"),
    "lengths": (bandit(p=[0.1, 0.9]), "a and p differ in length: 3 and 2"),
    "an action twice": (bandit(a=[3, 3, 1]), "a must list different actions out of 3, from 1"),
    "an action too many": (bandit(a=[4, 3, 1]), "a must list different actions out of 3, from 1"),
    "label outside a": (bandit(a=[1, 2], p=[0.5, 0.5]), "_label_Action 3 is not in a"),
    "no label": (bandit(_label_Action=None, _labelIndex=None), "_label_Action is missing"),
    "labels differ": (bandit(_labelIndex=1), "_labelIndex is 1, which is not _label_Action 3 less 1"),
    "dropped for sure": (bandit(pdrop=1), "pdrop is 1, not at least 0 and below 1"),
    "the same event again": (bandit(EventId="e0"), "EventId 'e0' was on line 1 already"),
    "a number without end": (bandit(c={"x": 10**30, "_multi": COFFEE}), "x is an integer of more than 64 bits"),
    "an infinite number": ('{"EventId":"e1","_label_cost":-1e999}', "out of range"),
    "more outcomes than slots": (slots({"_label_cost": 0, "_a": [0], "_p": [1.0]}), "differ in length: 1 and 2"),
    "a slot's lengths": (
        slots({"_label_cost": 0, "_a": [0, 1], "_p": [1.0]}, {"_a": 2, "_p": 1}),
        "differ in length: 2 and 1",
    ),
    "an action taken already": (
        slots({"_label_cost": 0, "_a": [0], "_p": [1.0]}, {"_label_cost": 0, "_a": [0, 1], "_p": [0.5, 0.5]}),
        "_a of slot 2 begins with an action that is not free for it",
    ),
    "a slot without cost": (slots({"_a": 0, "_p": 1.0}, {"_a": 1, "_p": 1.0}), "_label_cost is missing"),
    "a slot's probability": (
        slots({"_label_cost": 0, "_a": 0, "_p": 0.0}, {"_label_cost": 0, "_a": 1, "_p": 1.0}),
        "_p of slot 1 is 0",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_line_that_cannot_be_used_names_its_number_and_rule(tmp_path: Path, name: str) -> None:
    bad, rule = BAD[name]
    path = write(tmp_path / "log.dsjson", bandit(EventId="e0"), bad, bandit(EventId="e2"))
    told: list[BadLine] = []

    with pytest.raises(BadLine, match="line 2: ") as raised:
        list(read_dsjson(path))

    assert rule in raised.value.reason
    assert "\n" not in str(raised.value)
    assert [line.customer_id for line in decisions(list(read_dsjson(path, told.append)))] == ["e0", "e2"]
    assert [line.number for line in told] == [2]


def test_notes_of_the_service_are_passed_over(tmp_path: Path) -> None:
    assert of(tmp_path, "[CHECKPOINT INFO LINE]", bandit()) == of(tmp_path, bandit())


def test_long_lines_are_read_and_longer_ones_refused(tmp_path: Path) -> None:
    context: dict[str, Any] = {"User": {f"feature {n}": "x" * 90 for n in range(9_000)}, "_multi": COFFEE}
    decision = of(tmp_path, bandit(c=context))[0]

    assert (tmp_path / "log.dsjson").stat().st_size > 900_000
    assert len(decision.features) == 9_000
    context["User"]["more"] = "x" * 100_000
    with pytest.raises(BadLine, match="line 1: is longer than 1,000,000 bytes"):
        of(tmp_path, bandit(c=context))


def test_compressed_files_are_read_and_those_cut_short_refused(tmp_path: Path) -> None:
    text = "".join(json.dumps(bandit(EventId=f"e{number}")) + "\n" for number in range(500)).encode()
    gz, zst = tmp_path / "log.dsjson.gz", tmp_path / "log.json.zst"
    gz.write_bytes(gzip.compress(text))
    with pa.CompressedOutputStream(zst, "zstd") as stream:
        stream.write(text)

    for path in (gz, zst):
        assert len(list(read_dsjson(path))) == 1000
        path.write_bytes(path.read_bytes()[:-20])
        with pytest.raises(DamagedFile, match="cannot be read after line"):
            list(read_dsjson(path, lambda _: None))


@pytest.mark.parametrize("suffix", ["ndjson", "ndjson.zst", "parquet"])
def test_what_is_imported_can_be_stored(tmp_path: Path, suffix: str) -> None:
    lines = of(tmp_path, bandit(), slots({"_a": 0, "_p": 1}, {"_a": 1, "_p": 0.5}, EventId="e2", _label_cost=-2))
    path = tmp_path / f"log.{suffix}"

    with LogWriter(path) as writer:
        for line in lines:
            writer.write(line)

    assert list(read_log(path)) == lines
    assert len(lines) == 6


@pytest.mark.parametrize(
    ("given", "features"),
    [
        (
            {"hour": 9, "rate": 0.5, "new": False, "tier": "gold"},
            {"hour": 9, "rate": 0.5, "new": False, "tier": "gold"},
        ),
        ({"user": {"geo": {"city": "Ulm"}}}, {"user.geo.city": "Ulm"}),
        ({"ns": [{"a": 1}, None, {"b": {"c": 2}}]}, {"ns.a": 1, "ns.b.c": 2}),
        ({"ns": [{"a": 1}, {"a": 2}, {"a": 3}]}, {"ns.a": 1, "ns.a#2": 2, "ns.a#3": 3}),
        ({"v": [0.5, None, 2], "m": [[1], [2]]}, {"v[0]": 0.5, "v[2]": 2, "m[0][0]": 1, "m[1][0]": 2}),
        ({"tags": ["new", "hot"]}, {"tags.new": True, "tags.hot": True}),
        ({"doc": {"_text": "big  sale"}}, {"doc.big": True, "doc.sale": True}),
        ({"_ua": "x", "user": {"_age": 3, "none": None}, "empty": {}}, {}),
    ],
)
def test_namespaces_become_names(given: dict[str, Any], features: dict[str, Any]) -> None:
    assert flatten(given) == features


def test_an_action_is_named_by_itself() -> None:
    named = {"id": 7, "_tag": "tag", "i": {"id": "inner"}}

    assert offer_id(named) == "7"
    assert offer_id(named | {"id": ""}) == "tag"
    assert offer_id({"i": {"id": "inner"}}) == "inner"
    plain = {"topic": "sports", "n": {"a": 1, "b": 2}}
    # The first 48 bits of BLAKE2b of {"n":{"a":1,"b":2},"topic":"sports"}.
    assert offer_id(plain) == "vw-12b7076c93fb"
    assert offer_id({"n": {"b": 2, "a": 1}, "_slot_id": 4, "topic": "sports"}) == offer_id(plain)
    assert offer_id({"topic": "sport"}) != offer_id({"topic": "sports"})
