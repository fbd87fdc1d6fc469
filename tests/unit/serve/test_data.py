import hashlib
import io
import json
import subprocess
import tarfile
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from serve.cli import obd_archive
from serve.cli.data import data_obd, import_log
from serve.cli.errors import CommandError
from serve.cli.obd_archive import ARCHIVE, fetch, unpack
from storage.public_log import read_log

CSV = (
    ",timestamp,item_id,position,click,propensity_score,user_feature_0,user-item_affinity_0,user-item_affinity_1\n"
    "0,2019-11-24 00:00:17.004101+00:00,1,3,0,0.25,aa,0.0,1.0\n"
    "1,2019-11-24 00:00:18.004101+00:00,0,1,1,0.25,aa,0.0,1.0\n"
)

EVENT = (
    '{"_label_cost":-1,"_label_probability":0.25,"_label_Action":2,"EventId":"e1","a":[2,1],"p":[0.25,0.75],'
    '"c":{"hour":9,"_multi":[{"id":"a"},{"id":"b"}]},"pdrop":0.5}\n'
)

app = typer.Typer(pretty_exceptions_enable=False)
app.command("obd")(data_obd)
app.command("import")(import_log)


def make_archive(path: Path, members: dict[str, str | None]) -> Path:
    """Write a tar.gz; a member without text is a symbolic link to /etc/passwd."""
    with tarfile.open(path, "w:gz") as archive:
        for name, text in members.items():
            member = tarfile.TarInfo(name)
            if text is None:
                member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
                archive.addfile(member)
            else:
                member.size = len(text)
                archive.addfile(member, io.BytesIO(text.encode()))
    return path


@pytest.fixture
def dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory that has the archive, with two rows in each campaign."""
    out = tmp_path / "obd"
    out.mkdir()
    campaigns = [(policy, name) for policy in ("random", "bts") for name in ("all", "men", "women")]
    members: dict[str, str | None] = {
        f"obp-0.5.7/obp/dataset/obd/{policy}/{name}/{name}.csv": CSV for policy, name in campaigns
    }
    make_archive(out / ARCHIVE, {"obp-0.5.7/setup.py": "raise SystemExit", **members})
    monkeypatch.setattr(obd_archive, "SHA256", hashlib.sha256((out / ARCHIVE).read_bytes()).hexdigest())
    return out


def test_only_the_data_is_unpacked(tmp_path: Path) -> None:
    members: dict[str, str | None] = {
        "obp-0.5.7/setup.py": "raise SystemExit",
        "obp-0.5.7/obp/dataset/obd/random/all/all.csv": "a",
        "obp-0.5.7/obp/dataset/obd/code.py": "raise SystemExit",
        "obp-0.5.7/obp/policy/conf/prior_bts.yaml": "b",
        "obp-0.5.7/obp/policy/conf/other.yaml": "c",
    }

    unpack(make_archive(tmp_path / "a.tar.gz", members), tmp_path / "out")

    files = {str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert files == {"raw/random/all/all.csv", "raw/prior_bts.yaml"}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("obp-0.5.7/obp/dataset/obd/../../../../../evil.csv", "x"),
        ("obp-0.5.7/obp/dataset/obd/random/../../../evil.csv", "x"),
        ("obp-0.5.7/obp/dataset/obd/random/link.csv", None),
    ],
)
def test_a_member_that_would_land_elsewhere_is_refused(tmp_path: Path, name: str, text: str | None) -> None:
    archive = make_archive(tmp_path / "a.tar.gz", {name: text})

    with pytest.raises(CommandError, match="refused to unpack"):
        unpack(archive, tmp_path / "out" / "deep")

    assert list(tmp_path.rglob("*.csv")) == []


def test_everything_is_converted_once(dataset: Path) -> None:
    first = CliRunner().invoke(app, ["obd", "--out", str(dataset), "--json"], catch_exceptions=False)
    written = {path: path.stat().st_mtime_ns for path in dataset.rglob("*.gz")}
    again = CliRunner().invoke(app, ["obd", "--out", str(dataset), "--json"], catch_exceptions=False)
    told = CliRunner().invoke(app, ["obd", "--out", str(dataset)], catch_exceptions=False)

    logs = json.loads(first.stdout)["logs"]
    assert [(log["decisions"], log["clicks"], log["converted"]) for log in logs] == [(2, 1, True)] * 6
    assert [log["converted"] for log in json.loads(again.stdout)["logs"]] == [False] * 6
    assert {path: path.stat().st_mtime_ns for path in dataset.rglob("*.gz")} == written
    assert "random-all.ndjson.gz: was there already, 2 decisions, 1 clicks" in told.stdout
    assert len(json.loads((dataset / "catalog.json").read_bytes())["offers"]) == 80


def test_an_archive_that_changed_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def changed(arguments: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        make_archive(Path(arguments[arguments.index("--dest") + 1]) / ARCHIVE, {})
        return subprocess.CompletedProcess(arguments, 0, "", "")

    monkeypatch.setattr(subprocess, "run", changed)

    with pytest.raises(CommandError, match="SHA-256"):
        fetch(tmp_path)

    assert list(tmp_path.iterdir()) == []


def test_what_pip_says_is_told_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(arguments: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(arguments, 1, "", "WARNING: retrying\nERROR: no network\n")

    monkeypatch.setattr(subprocess, "run", offline)

    with pytest.raises(CommandError, match=r"^pip could not download obp==0\.5\.7: no network$"):
        fetch(tmp_path)


def test_import_writes_a_log_or_stdout(tmp_path: Path) -> None:
    csv = tmp_path / "mine.csv"
    csv.write_text(CSV)
    log = tmp_path / "log.parquet"

    to_file = CliRunner().invoke(app, ["import", str(csv), "--format", "obd", "--out", str(log)])
    to_stdout = CliRunner().invoke(app, ["import", str(csv), "--format", "obd"])

    assert (to_file.exit_code, to_stdout.exit_code) == (0, 0)
    (tmp_path / "same.ndjson").write_bytes(to_stdout.stdout_bytes)
    assert list(read_log(tmp_path / "same.ndjson")) == list(read_log(log))
    assert len(list(read_log(log))) == 4


def test_import_ends_at_a_bad_row_or_leaves_it_out(tmp_path: Path) -> None:
    csv = tmp_path / "mine.csv"
    csv.write_text(CSV + "2,now,0,1,1,0.25,aa,0.0,1.0\n")
    log = tmp_path / "log.ndjson"

    fail = CliRunner().invoke(app, ["import", str(csv), "--format", "obd", "--out", str(log)])
    assert isinstance(fail.exception, CommandError)
    assert "mine.csv: line 4: " in str(fail.exception)
    assert not log.exists()

    skip = ["import", str(csv), "--format", "obd", "--out", str(log), "--on-error", "skip"]
    ended = CliRunner().invoke(app, skip, catch_exceptions=False)
    assert "mine.csv: line 4: " in ended.stderr
    assert len(list(read_log(log))) == 4


def test_import_of_decision_service_json(tmp_path: Path) -> None:
    events = tmp_path / "events.dsjson"
    events.write_text(EVENT)
    log = tmp_path / "log.parquet"

    to_file = CliRunner().invoke(app, ["import", str(events), "--format", "dsjson", "--out", str(log)])
    to_stdout = CliRunner().invoke(app, ["import", str(events), "--format", "dsjson"])

    assert (to_file.exit_code, to_stdout.exit_code) == (0, 0)
    assert to_file.stdout == f"{log}: 2 lines\n"
    assert "pdrop is 0.5" in to_file.stderr
    (tmp_path / "same.ndjson").write_bytes(to_stdout.stdout_bytes)
    assert list(read_log(tmp_path / "same.ndjson")) == list(read_log(log))


def test_import_of_decision_service_json_ends_at_a_bad_event_or_leaves_it_out(tmp_path: Path) -> None:
    events = tmp_path / "events.dsjson"
    events.write_text(EVENT + EVENT)
    log = tmp_path / "log.ndjson"
    command = ["import", str(events), "--format", "dsjson", "--out", str(log)]

    fail = CliRunner().invoke(app, command)
    assert isinstance(fail.exception, CommandError)
    assert str(fail.exception) == f"{events}: line 2: EventId 'e1' was on line 1 already"
    assert not log.exists()

    ended = CliRunner().invoke(app, [*command, "--on-error", "skip"], catch_exceptions=False)
    assert f"skipped: {events}: line 2: EventId 'e1'" in ended.stderr
    assert len(list(read_log(log))) == 2
