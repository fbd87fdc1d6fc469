from pathlib import Path

import pytest

from storage.importers.obd import obd_catalog, read_obd
from storage.public_log import BadLine, DamagedFile, DecisionLine, OutcomeLine, Shown

HEADER = (
    ",timestamp,item_id,position,click,propensity_score,user_feature_0,user_feature_1,user_feature_2,user_feature_3"
)
AFFINITIES = ",user-item_affinity_0,user-item_affinity_1,user-item_affinity_2"
ROWS = (
    "0,2019-11-24 00:00:17.004101+00:00,2,3,0,0.25,aa,bb,cc,dd,0.0,1.0,0.0",
    "1,2019-11-25 09:30:00.999999+09:00,0,1,1,0.5,aa,bb,cc,ee,0.0,0.0,0.0",
)


def campaign(directory: Path, *rows: str, header: str = HEADER + AFFINITIES) -> Path:
    path = directory / "bts" / "men" / "men.csv"
    path.parent.mkdir(parents=True)
    path.write_text("\n".join((header, *rows)) + "\n")
    return path


def test_a_row_becomes_a_decision_and_its_outcome(tmp_path: Path) -> None:
    first, missed, second, clicked = read_obd(campaign(tmp_path, *ROWS))

    assert first == DecisionLine(
        position=1,
        time="2019-11-24T00:00:17.004Z",
        customer_id="obd-bts-men-000000",
        features={
            "user_feature_0": "aa",
            "user_feature_1": "bb",
            "user_feature_2": "cc",
            "user_feature_3": "dd",
        },
        recommendation_id="obd-bts-men-000000",
        model_key="bts",
        candidates=["obd-item-0", "obd-item-1", "obd-item-2"],
        decisions=[Shown(3, "obd-item-2", "obd-creative-2", 0.25)],
    )
    assert missed == OutcomeLine(
        position=2,
        time=first.time,
        customer_id=first.customer_id,
        features=first.features,
        interaction_id="int-obd-bts-men-000000",
        recommendation_id="obd-bts-men-000000",
        rank=3,
        offer_id="obd-item-2",
        creative_id="obd-creative-2",
        channel_id="web",
        outcome="no_click",
        classification="negative",
        weight=-1.0,
    )
    assert (second.position, second.time) == (3, "2019-11-25T00:30:00.999Z")
    assert isinstance(clicked, OutcomeLine)
    assert (clicked.outcome, clicked.classification, clicked.weight) == ("click", "positive", 1.0)
    assert (clicked.position, clicked.rank, clicked.offer_id) == (4, 1, "obd-item-0")


def test_a_file_elsewhere_is_named_by_itself(tmp_path: Path) -> None:
    path = campaign(tmp_path, *ROWS)
    moved = path.rename(tmp_path / "mine.csv")

    first = next(read_obd(moved))

    assert isinstance(first, DecisionLine)
    assert (first.recommendation_id, first.model_key) == ("obd-mine-000000", None)


def test_without_affinities_the_items_are_those_beside(tmp_path: Path) -> None:
    path = campaign(tmp_path, ROWS[0].rsplit(",", 3)[0], header=HEADER)
    with pytest.raises(BadLine, match="item_context"):
        next(read_obd(path))
    path.with_name("item_context.csv").write_text(",item_id,item_feature_0\n0,0,0.1\n1,1,0.2\n2,2,0.3\n")

    first = next(read_obd(path))

    assert isinstance(first, DecisionLine)
    assert first.candidates == ["obd-item-0", "obd-item-1", "obd-item-2"]


@pytest.mark.parametrize(
    ("column", "value"),
    [(1, "soon"), (2, "3"), (2, "x"), (3, "0"), (4, "2"), (5, "0.0"), (5, "nan"), (5, "1.01")],
)
def test_a_row_that_cannot_be_used_names_its_line(tmp_path: Path, column: int, value: str) -> None:
    cells = ROWS[1].split(",")
    cells[column] = value
    path = campaign(tmp_path, ROWS[0], ",".join(cells), ROWS[1])
    told: list[BadLine] = []

    with pytest.raises(BadLine, match="line 3: "):
        list(read_obd(path))

    ids = [line.recommendation_id for line in read_obd(path, told.append)]
    # The row left out keeps its number: the others have the ids they would have without it.
    assert ids == ["obd-bts-men-000000"] * 2 + ["obd-bts-men-000002"] * 2
    assert [bad.number for bad in told] == [3]


def test_a_row_of_another_length_is_bad(tmp_path: Path) -> None:
    with pytest.raises(BadLine, match="line 2: "):
        list(read_obd(campaign(tmp_path, "0,2019-11-24 00:00:17+00:00,1")))


def test_another_csv_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadLine, match="line 1: not the Open Bandit Dataset, column timestamp is missing"):
        list(read_obd(campaign(tmp_path, "1,2", header="a,b")))


def test_a_binary_file_is_refused(tmp_path: Path) -> None:
    path = campaign(tmp_path)
    path.write_bytes(b"\xff\xfe\x00")

    with pytest.raises(DamagedFile):
        list(read_obd(path))


def test_the_catalogue_has_what_the_log_names(tmp_path: Path) -> None:
    catalog = obd_catalog()
    creatives = {creative["id"]: creative for creative in catalog["creatives"]}
    outcome = list(read_obd(campaign(tmp_path, *ROWS)))[1]

    assert isinstance(outcome, OutcomeLine)
    assert creatives[outcome.creative_id]["offerId"] == outcome.offer_id
    assert creatives[outcome.creative_id]["channelId"] == outcome.channel_id
    assert {offer["id"] for offer in catalog["offers"]} == {f"obd-item-{item}" for item in range(80)}
    assert len({creative["name"] for creative in catalog["creatives"]}) == 80
    (kind,) = catalog["outcomeTypes"]
    assert (kind["key"], kind["classification"]) == (outcome.outcome, outcome.classification)
