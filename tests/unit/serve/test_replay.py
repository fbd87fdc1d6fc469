"""`rewardloop replay` on logs of others: results, and one clear line for what cannot be read."""

import gzip
import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from serve.cli.errors import CommandError
from serve.cli.replay import replay
from storage.errors import StorageError
from tests.unit.serve.garbage import SAID, damaged, lines, text

app = typer.Typer(pretty_exceptions_enable=False)
app.command()(replay)


def run(*args: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, [str(arg) for arg in args])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        assert isinstance(result.exception, CommandError | StorageError), result.exception
        return 1, "", str(result.exception)
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "log.ndjson"
    path.write_bytes(text(lines()))
    return path


def test_a_sweep_is_replayed_with_a_digest_each(log: Path, tmp_path: Path) -> None:
    args = [log, "--model", "lin_ts:explore=[0.1,0.3]", "--model", "thompson_bandit", "--workers", 1, "--json"]
    code, out, _ = run(*args, "--out", tmp_path / "models")
    report = json.loads(out)

    assert code == 0
    assert report["log"] == {"entries": 80, "decisions": 40, "outcomesWithoutDecision": 0}
    assert [row["key"] for row in report["models"]] == [
        "lin_ts:explore=0.1",
        "lin_ts:explore=0.3",
        "thompson_bandit",
    ]
    assert {row["samples"] for row in report["models"]} == {40}
    assert len({row["digest"] for row in report["models"]}) == 3
    again = json.loads(run(*args)[1])
    assert [row["digest"] for row in again["models"]] == [row["digest"] for row in report["models"]]
    written = json.loads((tmp_path / "models" / "003-thompson_bandit.json").read_text())
    beliefs = {arm["offerId"]: (arm["positives"], arm["negatives"]) for arm in written["arms"]}
    assert beliefs == {"o0": (0, 20), "o1": (20, 0)}


def test_the_same_log_in_another_suit_makes_the_same_models(log: Path, tmp_path: Path) -> None:
    packed = tmp_path / "other.ndjson.gz"
    packed.write_bytes(gzip.compress(text(lines())))
    digests = [
        json.loads(run(path, "--model", "logistic_ts", "--workers", 1, "--json")[1])["models"][0]["digest"]
        for path in (log, packed)
    ]
    assert digests[0] == digests[1]


@pytest.mark.parametrize(
    ("what", "said"),
    [*SAID, ("nothing", "bad.ndjson: holds no entries")],
)
def test_garbage_is_told_in_one_line(tmp_path: Path, what: str, said: str) -> None:
    code, out, err = run(damaged(tmp_path, what), "--model", "ucb", "--workers", 1)

    assert (code, out) == (1, "")
    assert said in err
    assert "\n" not in err.strip()


def test_bad_lines_may_be_left_out_and_an_early_outcome_is_counted(tmp_path: Path) -> None:
    made = lines(3)
    path = tmp_path / "log.ndjson"
    path.write_bytes(text([made[1], made[0], *made[2:4]]) + b"garbage\n" + text(made[4:]))

    code, out, err = run(path, "--model", "ucb", "--workers", 1, "--json", "--on-error", "skip")

    assert code == 0
    assert json.loads(out)["log"] == {"entries": 6, "decisions": 3, "outcomesWithoutDecision": 1}
    assert err.count("skipped:") == 1


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ((), "makes no models of its own"),
        (("--model", "nonsense"), "--model nonsense: modelType must be one of"),
        (("--model", "ucb", "--model", "ucb"), "given twice"),
        (("--model", "ucb", "--verify"), "goes without --model"),
    ],
)
def test_what_cannot_be_replayed_is_told(log: Path, args: tuple[str, ...], said: str) -> None:
    code, _, err = run(log, *args)
    assert code == 1
    assert said in err
