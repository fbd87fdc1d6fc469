"""What a learner shows of itself: bounded, readable in the dashboard, and never at the learner's expense."""

import json
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from learners import gauges as gauges_module
from learners.answers import LearnerStatus
from learners.beliefs import Beliefs, newest_beliefs
from learners.display import Display
from learners.gauges import Gauges
from learners.learner import Learner
from learners.shard import Shard
from learners.statefile import BAR_WIDTH, render_lines, render_table, replace_file
from tests.figures import Figures
from tests.learning import model_entry, outcome_entry

pytestmark = pytest.mark.anyio

STATUS = LearnerStatus("learner-00", 64, 0, 120, {3: 4})


def shard_of(*tenants: str, offers: int = 2) -> Shard:
    """Return a shard whose tenants learned in the order given: offer i was clicked i + 1 times."""
    shard = Shard(3)
    for tenant in tenants:
        shard.apply([model_entry(shard.position + 1, tenant=tenant)])
        for offer in range(offers):
            for _ in range(offer + 1):
                shard.apply([outcome_entry(shard.position + 1, f"offer-{offer}", "positive", tenant=tenant)])
    return shard


async def test_the_models_and_offers_that_learned_last_are_shown_and_the_rest_is_counted() -> None:
    beliefs = await newest_beliefs([shard_of("a", "b", "c", offers=3)], models=2, offers=1)
    assert [one.tenant for one in beliefs.models] == ["c", "b"]
    assert [arm.offer_id for arm in beliefs.models[0].arms] == ["offer-2"]
    assert (beliefs.left_out, beliefs.models[0].left_out) == (1, 2)
    assert "1 others are not shown" in render_table(STATUS, beliefs, 0).replace("\u00a0", " ")
    assert json.loads(render_lines(STATUS, beliefs, 0).splitlines()[-1]) == {
        "modelsLeftOut": 1,
        "offersLeftOut": 4,
    }


async def test_the_table_lines_up_without_a_blank_and_has_bars() -> None:
    beliefs = await newest_beliefs([shard_of("shop")])
    text = render_table(STATUS, beliefs, 0)
    assert " " not in text, "the dashboard runs blanks together"
    lines = text.replace("\u00a0", " ").splitlines()
    assert lines[0] == "learner-00  1970-01-01T00:00:00.000Z"
    assert "tenant shop  model key  thompson_bandit, champion  3 rewards" in lines
    better, worse = (next(line for line in lines if f"offer-{i}" in line) for i in (1, 0))
    assert lines.index(better) == lines.index(worse) - 1
    assert (better.count("█"), better.index("█")) == (BAR_WIDTH, worse.index("█"))
    # Beta(3, 1) and Beta(2, 1): means 3/4 and 2/3, and a bar as long as its mean is to the best.
    assert "    0.75 " in better
    assert worse.count("█") == round(BAR_WIDTH * (2 / 3) / (3 / 4))


async def test_the_lines_name_every_offer_and_no_customer() -> None:
    beliefs = await newest_beliefs([shard_of("shop")])
    first, *rows, last = [json.loads(line) for line in render_lines(STATUS, beliefs, 0).splitlines()]
    assert (first["learner"], first["position"]) == ("learner-00", 4)
    assert {row["offerId"]: (row["tenant"], row["pulls"]) for row in rows} == {
        "offer-0": ("shop", 1),
        "offer-1": ("shop", 2),
    }
    assert not {"customer", "features", "parameters"} & {name.lower() for row in rows for name in row}
    assert last == {"modelsLeftOut": 0, "offersLeftOut": 0}


async def test_a_learner_that_knows_nothing_is_no_single_json_value() -> None:
    text = render_lines(STATUS, await newest_beliefs([]), 0)
    with pytest.raises(ValueError, match="Extra data"):
        json.loads(text)


async def test_names_as_long_as_they_may_be_and_negative_means_break_no_column() -> None:
    shard = Shard(3)
    shard.apply([model_entry(1, model_type="gaussian_ts"), outcome_entry(2, "o" * 200, "negative")])
    lines = render_table(STATUS, await newest_beliefs([shard]), 0).replace("\u00a0", " ").splitlines()
    [row] = [line for line in lines if "ooo" in line]
    assert "…" in row
    assert "█" not in row
    assert len(row) < 120


def test_a_file_is_replaced_at_once_in_a_directory_of_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "learners" / "learner-00.txt"
    replace_file(path, "one")
    replace_file(path, "two")
    assert path.read_text() == "two"
    assert path.parent.stat().st_mode & 0o077 == 0
    assert [one.name for one in path.parent.iterdir()] == [path.name]


def shown(folder: Path, shard: Shard, *, offers: bool) -> tuple[Display, Figures]:
    learner = Learner("learner-00", "redis://nowhere", [3])
    learner._shards = {3: shard}
    figures = Figures()
    counts = lambda: {"outcomes": shard.outcomes, "snapshots": 0}  # noqa: E731
    return Display(learner, folder, Gauges(figures, "learner-00", offers=offers), counts), figures


async def test_gauges_follow_the_learner_and_name_no_tenant(tmp_path: Path) -> None:
    shard = shard_of("shop")
    display, figures = shown(tmp_path, shard, offers=False)
    await display.step()
    shard.apply([outcome_entry(5, "offer-0", "positive", tenant="shop")])
    await display.step()
    await display.step()
    assert figures.last["rewardloop_learner_position", "learner-00"] == 5
    assert figures.last["rewardloop_learner_outcomes", "learner-00"] == 4
    assert {name for name, _ in figures.last} == {
        "rewardloop_learner_position",
        "rewardloop_learner_behind",
        "rewardloop_learner_lag_seconds",
        "rewardloop_learner_outcomes",
    }


async def test_offers_have_gauges_where_asked_for_and_only_so_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gauges_module, "OFFERS", 1)
    display, figures = shown(tmp_path, shard_of("shop"), offers=True)
    await display.step()
    offers = {key: value for key, value in figures.last.items() if key[0].startswith("rewardloop_offer")}
    assert offers == {("rewardloop_offer_mean", "offer-1"): 0.75, ("rewardloop_offer_pulls", "offer-1"): 2}


async def test_files_are_written_when_something_moved_and_only_then(tmp_path: Path) -> None:
    shard = shard_of("shop")
    display, _ = shown(tmp_path, shard, offers=False)
    await display.step()
    path = tmp_path / "learner-00.jsonl"
    first = path.stat().st_ino
    await display.step()
    assert path.stat().st_ino == first
    shard.apply([outcome_entry(5, "offer-9", "positive", tenant="shop")])
    await display.step()
    assert "offer-9" in path.read_text()
    assert "offer-9" in (tmp_path / "learner-00.txt").read_text()


async def test_a_disk_that_takes_nothing_is_told_once_and_tried_again(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    display, figures = shown(blocked / "learners", shard_of("shop"), offers=False)
    with capture_logs() as logs:
        await display.step()
        await display.step()
    assert [one["event"] for one in logs] == ["cannot write the state file"]
    assert figures.last["rewardloop_learner_position", "learner-00"] == 4, "gauges go on"
    blocked.unlink()
    blocked.mkdir()
    await display.step()
    assert (blocked / "learners" / "learner-00.txt").exists()


def test_beliefs_that_are_empty_render() -> None:
    assert "all models" in render_table(STATUS, Beliefs([], 0), 0).replace("\u00a0", " ")
