"""Real input: 10,000 rows of a fashion shop's log, through the running service, against the CSV itself."""

import csv
import json
from collections import Counter
from pathlib import Path

from tests.service import Service, until

ROWS = 10_000


def test_the_open_bandit_dataset_is_learned_as_it_was_logged(service: Service, tmp_path: Path) -> None:
    folder = tmp_path / "obd"
    summary = json.loads(service.command("data", "obd", "--out", str(folder), "--json"))
    assert {log["decisions"] for log in summary["logs"]} == {ROWS}
    service.command("catalog", "load", str(folder / "catalog.json"), "--tenant", "demo")
    ingest = ("ingest", str(folder / "random-all.ndjson.gz"), "--tenant", "demo", "--json")
    first, again = (json.loads(service.command(*ingest)) for _ in range(2))
    assert (first["recorded"], first["duplicates"], first["failed"]) == (ROWS, 0, 0)
    assert (again["recorded"], again["duplicates"], again["failed"]) == (0, ROWS, 0)

    with (folder / "raw" / "random" / "all" / "all.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == ROWS
    shown = Counter(f"obd-item-{row['item_id']}" for row in rows)
    clicked = Counter(f"obd-item-{row['item_id']}" for row in rows if row["click"] == "1")
    key = (service.data_dir / "demo.key").read_text()
    headers = {"X-Tenant-Id": "demo", "Authorization": f"Bearer {key}"}

    def learned() -> bool:
        arms = service.state(headers)
        return bool(sum(arms[offer]["pulls"] for offer in shown if offer in arms) == ROWS)

    until(learned, 30, "all rows are learned")
    arms = service.state(headers)
    for offer, pulls in shown.items():
        clicks = clicked[offer]
        assert arms[offer]["parameters"] == {"alpha": 1.0 + clicks, "beta": 1.0 + pulls - clicks}
    assert sum(clicked.values()) == 38
