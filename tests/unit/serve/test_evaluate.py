"""`rewardloop evaluate`: its report in three forms, and one clear line for what it cannot answer."""

import json
import re
from html import unescape
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from serve.cli import command_line
from serve.cli.errors import CommandError
from storage.archive import Archive
from storage.entry import Decision, DecisionPoint, Entry, Outcome, Resolution, ShownOffer
from storage.errors import StorageError
from storage.line_entries import line_of
from storage.public_log import encode_line
from tests.unit.evaluation.logs import decision, outcome, simulated, write
from tests.unit.serve.garbage import SAID, damaged

POLICIES = ("--policy", "uniform", "--policy", "ucb:explore=[1,2]")


def run(*args: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(command_line(), ["evaluate", *map(str, args)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        assert isinstance(result.exception, CommandError | StorageError), result.exception
        return 1, result.stdout, str(result.exception)
    return result.exit_code, result.stdout, result.stderr


def report_of(*args: object) -> dict[str, Any]:
    code, out, _ = run(*args, "--json")
    assert code == 0
    report: dict[str, Any] = json.loads(out)
    return report


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return write(tmp_path / "log.ndjson", simulated(200, seed=1))


def test_json_has_the_fields_that_programs_read(log: Path) -> None:
    report = report_of(log, *POLICIES)
    assert report["log"]["rows"] == 200
    assert [one["policy"] for one in report["policies"]] == ["uniform", "ucb:explore=1", "ucb:explore=2"]
    for one in report["policies"]:
        assert [each["estimator"] for each in one["estimates"]] == ["ips", "snips", "dm", "dr"]
        assert set(one["estimates"][0]) == {
            *("estimator", "value", "ciLower", "ciUpper"),
            *("anytimeLower", "anytimeUpper"),
        }
        wanted = {"ess", "meanWeight", "maxWeight", "maxWeightShare", "supportGaps", "matched", "verdict"}
        assert wanted <= set(one["diagnostics"])
        assert set(one["progressive"]) == {"reward", "ips", "logLoss", "auc"}


def test_the_text_has_values_intervals_and_a_verdict(log: Path) -> None:
    code, out, err = run(log, *POLICIES)
    assert (code, err) == (0, "")
    assert "200 rows of 200 decisions" in out
    assert out.count("The log can answer this: its 200 rows are worth") == 1
    assert out.count("The log cannot answer this well: its 200 rows are worth only") == 2
    assert re.search(r"ips +│ 0\.\d+ +│ 0\.\d+ to 0\.\d+ +│ 0\.?\d* to 0\.\d+", out)


def test_the_page_holds_the_numbers_of_the_json_in_full(log: Path, tmp_path: Path) -> None:
    page = tmp_path / "deep" / "report.html"
    report = report_of(log, *POLICIES, "--report", page)
    text = unescape(page.read_text())
    for one in report["policies"]:
        assert one["diagnostics"]["verdict"] in text
        for each in one["estimates"]:
            assert f'value="{each["value"]}"' in text
    for versioned in ("rewardloop", "python", "numpy", "scikit-learn"):
        assert versioned in text
    assert text.count("<svg") == 4, "intervals, curves, propensities, calibration"


def test_a_page_that_cannot_be_written_is_told(log: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    code, _, err = run(log, "--policy", "uniform", "--report", tmp_path / "file" / "page.html")
    assert code == 1
    assert err.startswith(f"--report {tmp_path / 'file' / 'page.html'}: ")


def test_the_same_log_in_another_suit_has_the_same_answer(log: Path, tmp_path: Path) -> None:
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    for row in rows:
        row["features"] = json.dumps(row.get("features", {}))
    (tmp_path / "suit").mkdir()
    other = tmp_path / "suit" / "log.parquet"
    pq.write_table(pa.Table.from_pylist(rows, schema=_schema()), other)
    for path in (other, other.parent):
        report = report_of(path, *POLICIES)
        assert report["policies"] == report_of(log, *POLICIES)["policies"]


def _schema() -> pa.Schema:
    text = pa.string()
    shown = pa.list_(pa.struct({"rank": pa.int32(), "offerId": text, "propensity": pa.float64()}))
    names = ("kind", "time", "customerId", "recommendationId", "features", "offerId", "outcome", "classification")
    return pa.schema(
        dict.fromkeys(names, text) | {"candidates": pa.list_(text), "decisions": shown, "weight": pa.float64()}
    )


def served(tenant: str, first: int, rounds: int) -> list[Entry]:
    """Return entries as the service makes them: decisions between two offers, each answered."""
    entries = []
    for n in range(rounds):
        offer, won = f"o{n % 2}", n % 3 == 0
        resolution = Resolution(offer, f"cr-{offer}", "web", None, None, offer, offer, "Web", None)
        shown = ShownOffer(1, resolution, 0.5, 0.5, f"i{n}", delivered=False)
        ids = (tenant, f"{tenant}-r{n}", f"c{n % 5}")
        position, time_ms = first + 2 * n, 1_000_000 + 1_000 * n
        entries.append(Entry(position, time_ms, Decision(*ids, {"x": n % 4}, ["o0", "o1"], [shown], "m", 0)))
        outcome = Outcome(
            *(tenant, f"i{n}", f"c{n % 5}", "click", "positive" if won else "negative", "inbound"),
            delivery=False,
            rank=1,
            recommendation_id=f"{tenant}-r{n}",
        )
        point = DecisionPoint(time_ms, {"x": n % 4}, 0.5, "m")
        entries.append(Entry(position + 1, time_ms + 10, outcome, resolution, point))
    return entries


def test_an_archive_answers_as_an_export_of_it_does(tmp_path: Path) -> None:
    entries = [*served("a", 1, 100), *served("b", 201, 20)]
    archive = Archive(str(tmp_path / "archive"))
    archive.write(7, entries[:150])
    archive.write(7, entries[150:])
    export = tmp_path / "a.ndjson"
    export.write_bytes(b"".join(encode_line(line_of(entry)) for entry in entries if entry.body.tenant == "a"))
    ask = ("--policy", "logged", "--policy", "constant:o1", "--policy", "lin_ts", "--reward", "sum")
    from_archive = report_of(tmp_path / "archive", "--tenant", "a", *ask)
    assert from_archive["policies"] == report_of(export, *ask)["policies"]
    assert from_archive["log"]["rows"] == 100
    assert from_archive["log"]["meanReward"] == 0.34
    assert "holds the logs of several tenants ('a', 'b')" in run(tmp_path / "archive", *ask)[2]


def test_a_column_of_parquet_is_a_policy(tmp_path: Path) -> None:
    rows = [decision(n, features="{}", mine=[0.25, 0.75]) for n in range(2)] + [outcome(0)]
    schema = _schema().append(pa.field("mine", pa.list_(pa.float64())))
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), tmp_path / "log.parquet")
    report = report_of(tmp_path / "log.parquet", "--policy", "column:mine", "--estimator", "ips")
    assert report["policies"][0]["estimates"][0]["value"] == pytest.approx(0.25)


def test_rewards_and_windows_are_as_asked(tmp_path: Path) -> None:
    lines = [decision(), outcome(seconds=60, weight=1.0), outcome(seconds=120, weight=2.0), decision(1, 7200)]
    path = write(tmp_path / "log.ndjson", lines)
    wanted = {
        ("max", "1h"): 2.0,
        ("earliest", "1h"): 1.0,
        ("sum", "1h"): 3.0,
        ("sum", "90s"): 1.0,
        ("sum", "30s"): 0.0,
    }
    for (rule, window), mean in wanted.items():
        assert (
            report_of(path, "--policy", "logged", "--reward", rule, "--window", window)["log"]["meanReward"] == mean
        )


def test_offer_features_reach_the_reward_model(log: Path, tmp_path: Path) -> None:
    features = tmp_path / "offers.json"
    features.write_text(json.dumps({f"o{i}": {"price": i} for i in range(3)}))
    ask = (log, "--policy", "uniform", "--estimator", "dm")
    with_features = report_of(*ask, "--offer-features", features)
    assert (
        with_features["policies"][0]["estimates"][0]["value"]
        != report_of(*ask)["policies"][0]["estimates"][0]["value"]
    )
    features.write_text('{"o0": {"price": 1}}')
    assert run(*ask, "--offer-features", features)[2] == "--offer-features: has none of offer o1"
    features.write_text('{"o0": 3}')
    assert "Expected `object`" in run(*ask, "--offer-features", features)[2]


@pytest.mark.parametrize(("what", "said"), [*SAID, ("nothing", "bad.ndjson: has no decisions")])
def test_garbage_is_told_in_one_line(tmp_path: Path, what: str, said: str) -> None:
    code, out, err = run(damaged(tmp_path, what), "--policy", "uniform")
    assert (code, out) == (1, "")
    assert said in err
    assert "\n" not in err.strip()


def test_bad_lines_may_be_left_out_and_stray_outcomes_are_told(tmp_path: Path) -> None:
    lines = [decision(0, 10), outcome(0, 5), outcome(0, 20), outcome(9)]
    path = write(tmp_path / "log.ndjson", lines)
    path.write_text(path.read_text() + "garbage\n")
    code, out, err = run(path, "--policy", "logged", "--on-error", "skip", "--json")
    assert code == 0
    assert json.loads(out)["log"]["meanReward"] == 1.0
    told = err.splitlines()
    assert told[0].startswith(f"skipped: {path}: line 5: ")
    assert told[1:] == [
        "1 outcomes come before the decision they name, and do not count",
        "1 outcomes name a decision or a rank that the log does not have",
    ]


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--policy", "magic"), "--policy magic: must be logged, uniform, constant:OFFER"),
        (("--policy", "constant:o9"), "--policy constant:o9: the log has no offer o9"),
        (("--policy", "column:mine"), "line 1: column mine is missing"),
        (("--policy", "uniform", "--estimator", "magic"), "--estimator 'magic' must be one of"),
        (("--policy", "uniform", "--window", "soon"), "--window 'soon' must be a number above 0"),
        (("--policy", "uniform", "--window", "7d"), "no decision's window had passed when the log ended"),
        (("--policy", "uniform", "--level", "95"), "--level must be above 0 and below 1"),
        (("--policy", "uniform", "--reward-bound", "-1"), "--reward-bound must be a finite number above 0"),
        (("--policy", "uniform", "--reward-bound", "0.5"), "--reward-bound 0.5 is below a reward of the log, 1"),
        (("--policy", "uniform", "--reward-model", "ridge:folds=300"), "folds: Input should be less than or equal"),
        (("--policy", "uniform", "--tenant", "other"), "has no decisions of tenant other"),
    ],
)
def test_what_cannot_be_answered_is_told_in_one_line(log: Path, args: tuple[str, ...], said: str) -> None:
    code, out, err = run(log, *args)
    assert (code, out) == (1, "")
    assert said in err
    assert "\n" not in err.strip()
