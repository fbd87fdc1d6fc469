"""`ingest` against a small bulk route of its own, over real connections."""

import json
import threading
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import typer
from typer.testing import CliRunner

from serve.cli.bulk import Patience
from serve.cli.errors import CommandError
from serve.cli.ingest import ingest
from storage.public_log import DecisionLine, LogWriter, OutcomeLine, Shown

TIME = "2026-03-16T14:35:00.000Z"
KEY = "rl_id_secret"

app = typer.Typer(pretty_exceptions_enable=False)
app.command()(ingest)


class Service(ThreadingHTTPServer):
    """Records each key once; an item whose customer is "unknown" is 404."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Route)
        self.lock = threading.Lock()
        self.records: dict[str, dict[str, Any]] = {}
        self.heads: list[dict[str, str]] = []
        self.sizes: list[int] = []
        self.refusals: list[int] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def answer(self, index: int, item: dict[str, Any]) -> dict[str, Any]:
        if item["customerId"] == "unknown":
            return {
                "index": index,
                "status": 404,
                "error": {"code": "NOT_FOUND", "message": "no such creative"},
            }
        status = 200 if item["idempotencyKey"] in self.records else 201
        self.records.setdefault(item["idempotencyKey"], item)
        return {"index": index, "status": status, "interactionId": "int_1"}


class Route(BaseHTTPRequestHandler):
    server: Service
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.lock:
            self.server.heads.append(dict(self.headers.items()))
            self.server.sizes.append(len(body["outcomes"]))
            if self.server.refusals:
                status = self.server.refusals.pop()
                self.reply(status, {"error": {"message": "API key is not valid"}})
                return
            results = [self.server.answer(index, item) for index, item in enumerate(body["outcomes"])]
        # In another order than asked: the index counts.
        self.reply(207, {"processed": len(results), "results": results[::-1]})

    def reply(self, status: int, body: dict[str, Any]) -> None:
        raw = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        """Say nothing."""


@pytest.fixture
def service() -> Iterator[Service]:
    with Service() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


async def _no_sleep(_: float) -> None:
    """Wait not at all."""


@pytest.fixture(autouse=True)
def _surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serve.cli.ingest.PATIENCE", Patience(_no_sleep, lambda: 0.0, lambda: 0.0))
    monkeypatch.setenv("REWARDLOOP_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.delenv("REWARDLOOP_KEY", raising=False)
    monkeypatch.delenv("REWARDLOOP_URL", raising=False)


def request(number: int, **fields: object) -> dict[str, object]:
    whole = {
        "customerId": f"c{number}",
        "outcome": "click",
        "creativeId": "cr1",
        "idempotencyKey": f"k{number}",
    }
    return whole | fields


def ndjson(path: Path, items: Sequence[object]) -> Path:
    path.write_text("".join(f"{item if isinstance(item, str) else json.dumps(item)}\n" for item in items))
    return path


def run(service: Service, file: Path, *options: str) -> tuple[int, dict[str, Any]]:
    arguments = [str(file), "--tenant", "demo", "--url", service.url, "--key", KEY, "--json", *options]
    ended = CliRunner().invoke(app, arguments)
    if isinstance(ended.exception, CommandError):
        raise ended.exception
    return ended.exit_code, json.loads(ended.stdout)


def outcome(**fields: object) -> OutcomeLine:
    whole: dict[str, object] = {
        "time": TIME,
        "customer_id": "c1",
        "interaction_id": "i1",
        "offer_id": "o1",
        "creative_id": "cr1",
        "outcome": "click",
        "classification": "positive",
        "weight": 1.0,
    }
    return OutcomeLine(**whole | fields)  # type: ignore[arg-type]


def test_outcomes_are_sent_once_and_again_are_duplicates(service: Service, tmp_path: Path) -> None:
    file = ndjson(tmp_path / "items.ndjson", [request(number) for number in range(1, 26)])

    code, first = run(service, file, "--batch-size", "10")
    again_code, again = run(service, file, "--batch-size", "10")

    assert (code, first["recorded"], first["duplicates"], first["failed"]) == (0, 25, 0, 0)
    assert (again_code, again["recorded"], again["duplicates"]) == (0, 0, 25)
    assert sorted(service.sizes) == [5, 5, 10, 10, 10, 10]
    assert service.records["k7"] == request(7)
    assert {headers["X-Tenant-Id"] for headers in service.heads} == {"demo"}
    assert {headers["Authorization"] for headers in service.heads} == {f"Bearer {KEY}"}


@pytest.mark.parametrize("suffix", ["ndjson.gz", "ndjson.zst", "parquet"])
def test_a_public_log_sends_its_outcomes(service: Service, tmp_path: Path, suffix: str) -> None:
    shown = Shown(1, "o1", "cr1", 0.5)
    with LogWriter(tmp_path / f"log.{suffix}") as log:
        log.write(DecisionLine(time=TIME, customer_id="c1", recommendation_id="r1", decisions=[shown]))
        log.write(outcome(rank=1, value=2.5, features={"tier": "gold", "age": 38, "new": True}))
        log.write(outcome(interaction_id=None, recommendation_id="r1", rank=2))

    code, summary = run(service, tmp_path / f"log.{suffix}")

    assert (code, summary["recorded"], summary["skippedDecisions"], summary["lines"]) == (0, 2, 1, 3)
    sent = {"customerId": "c1", "outcome": "click", "creativeId": "cr1", "timestamp": TIME}
    attributes = {"tier": "gold", "age": 38, "new": True}
    assert service.records == {
        "i1": sent | {"idempotencyKey": "i1", "rank": 1, "conversionValue": 2.5, "attributes": attributes},
        "r1:2:click": sent | {"idempotencyKey": "r1:2:click", "rank": 2},
    }


def test_parquet_of_respond_requests(service: Service, tmp_path: Path) -> None:
    rows = [request(1, attributes='{"age":38}', rank=2), request(2, context='{"page":"home"}')]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "items.parquet")

    run(service, tmp_path / "items.parquet")

    assert service.records["k1"] == request(1, attributes={"age": 38}, rank=2)
    assert service.records["k2"]["customerId"] == "c2"


def test_failed_items_are_told_by_line_and_end_with_1(service: Service, tmp_path: Path) -> None:
    items = [request(1), request(2), "", request(3, customerId="unknown"), request(4)]
    file = ndjson(tmp_path / "items.ndjson", items)

    code, summary = run(service, file, "--batch-size", "2")
    resumed = run(service, file, "--resume")[1]
    shown = CliRunner().invoke(app, [str(file), "--tenant", "demo", "--url", service.url, "--key", KEY])

    assert (code, summary["recorded"], summary["failed"]) == (1, 3, 1)
    assert summary["failures"] == [{"line": 4, "status": 404, "reason": "no such creative"}]
    assert shown.exit_code == 1
    assert "line 4: 404 no such creative" in shown.stderr
    # The mark stays before the failure, so that it is sent again once mended.
    assert (resumed["resumedAfterLine"], resumed["duplicates"], resumed["failed"]) == (2, 1, 1)


def test_resume_starts_after_what_was_acknowledged(service: Service, tmp_path: Path) -> None:
    file = ndjson(tmp_path / "items.ndjson", [request(1), request(2), request(3), "broken", request(5)])

    with pytest.raises(CommandError, match=r"items\.ndjson: line 4: .*; acknowledged are the lines up to 3"):
        run(service, file, "--batch-size", "2")
    code, summary = run(service, file, "--batch-size", "2", "--resume", "--on-error", "skip")
    done = run(service, file, "--resume")[1]

    assert (code, summary["resumedAfterLine"], summary["recorded"], summary["skippedBadLines"]) == (
        0,
        3,
        1,
        1,
    )
    assert (done["resumedAfterLine"], done["items"]) == (5, 0)
    assert sorted(service.sizes) == [1, 1, 2]


def test_a_bookmark_is_of_one_tenant_and_of_one_content(service: Service, tmp_path: Path) -> None:
    file = ndjson(tmp_path / "items.ndjson", [request(1)])
    run(service, file)

    other = run(service, file, "--resume", "--tenant", "other")[1]
    ndjson(file, [request(1), request(2)])
    changed = run(service, file, "--resume")[1]

    assert (other["resumedAfterLine"], changed["resumedAfterLine"]) == (0, 0)


def test_a_refused_key_ends_the_command_in_one_line(service: Service, tmp_path: Path) -> None:
    service.refusals = [401]

    with pytest.raises(CommandError, match="the service refused: 401 API key is not valid"):
        run(service, ndjson(tmp_path / "items.ndjson", [request(1)]))


def test_a_moment_of_trouble_is_waited_out(service: Service, tmp_path: Path) -> None:
    service.refusals = [503, 502]

    code, summary = run(service, ndjson(tmp_path / "items.ndjson", [request(1)]))

    assert (code, summary["recorded"], len(service.sizes)) == (0, 1, 3)


def test_without_a_key_it_says_how_to_make_one(tmp_path: Path) -> None:
    file = ndjson(tmp_path / "items.ndjson", [])

    ended = CliRunner().invoke(app, [str(file), "--tenant", "demo"])

    assert isinstance(ended.exception, CommandError)
    assert "rewardloop keys create --tenant demo" in str(ended.exception)


@pytest.mark.parametrize("url", ["localhost:8000", "ftp://x", "http://", "http://x:port"])
def test_an_address_that_is_none_is_told_at_once(tmp_path: Path, url: str) -> None:
    file = ndjson(tmp_path / "items.ndjson", [request(1)])

    ended = CliRunner().invoke(app, [str(file), "--tenant", "demo", "--key", KEY, "--url", url])

    assert isinstance(ended.exception, CommandError)
    assert url in str(ended.exception)
