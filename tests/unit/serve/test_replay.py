"""`rewardloop replay` on logs of others: results, and one clear line for what cannot be read."""

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import typer
from typer.testing import CliRunner

from serve.cli.errors import CommandError
from serve.cli.replay import replay
from storage.errors import StorageError

app = typer.Typer(pretty_exceptions_enable=False)
app.command()(replay)

TIME = "2026-03-16T14:35:00.000Z"


def lines(count: int = 40) -> list[dict[str, object]]:
    made: list[dict[str, object]] = []
    for n in range(count):
        offer = f"o{n % 2}"
        common = {"time": TIME, "customerId": f"c{n}", "recommendationId": f"r{n}"}
        shown = [{"rank": 1, "offerId": offer, "propensity": 0.5}]
        decision = {"features": {"x": n % 3}, "candidates": ["o0", "o1"], "decisions": shown}
        won = {"classification": "positive" if n % 2 else "negative", "weight": n % 2}
        made.append({"kind": "decision", **common, **decision})
        made.append({"kind": "outcome", **common, "rank": 1, "offerId": offer, "outcome": "click", **won})
    return made


def text(made: list[dict[str, object]]) -> bytes:
    return b"".join(json.dumps(line).encode() + b"\n" for line in made)


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


def damaged(tmp_path: Path, what: str) -> Path:
    made = lines()
    path = tmp_path / "bad.ndjson"
    match what:
        case "a cut file":
            path = tmp_path / "bad.ndjson.gz"
            path.write_bytes(gzip.compress(text(made))[:-20])
        case "a missing column":
            path = tmp_path / "bad.parquet"
            pq.write_table(pa.table({"kind": ["outcome"], "time": [TIME], "customerId": ["c"]}), path)
        case "propensity 0" | "propensity 2":
            made[4]["decisions"] = [{"rank": 1, "offerId": "o1", "propensity": int(what[-1])}]
            path.write_bytes(text(made))
        case "a duplicate position":
            made = [{**line, "position": min(number, 5)} for number, line in enumerate(made, start=1)]
            path.write_bytes(text(made))
        case "a long line":
            path.write_bytes(text(made[:2]) + b'{"kind":"' + b"x" * 1_000_000 + b'"}\n')
        case "no JSON":
            path.write_bytes(text(made[:2]) + b"\xff\xfe{]\n")
        case "nothing":
            path.write_bytes(b"\n\n")
    return path


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("a cut file", "bad.ndjson.gz: cannot be read after line"),
        ("a missing column", "bad.parquet: line 1: Object missing required field `offerId`"),
        ("propensity 0", "bad.ndjson: line 5: Expected `float` > 0.0 - at `$.decisions[0].propensity`"),
        ("propensity 2", "bad.ndjson: line 5: Expected `float` <= 1.0 - at `$.decisions[0].propensity`"),
        ("a duplicate position", "bad.ndjson: line 6: position 5 comes after 5"),
        ("a long line", "bad.ndjson: line 3: is longer than 1,000,000 bytes"),
        ("no JSON", "bad.ndjson: line 3: "),
        ("nothing", "bad.ndjson: holds no entries"),
    ],
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
