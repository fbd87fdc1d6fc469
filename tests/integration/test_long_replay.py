"""A long log replays in the memory of a short one."""

import json
import subprocess
import sys
from pathlib import Path

SHORT, LONG = 10_000, 110_000
"""Decisions: both more than nothing, the long one more than twice what is kept in memory for joining."""
GROWTH_MIB = 64
"""Kept as objects, the long log's entries alone would be some 200 MiB."""


def write(path: Path, decisions: int) -> Path:
    with path.open("w") as log:
        for n in range(decisions):
            offer = f"o{n % 10}"
            ids = {"time": "2026-03-16T14:35:00Z", "customerId": f"c{n}", "recommendationId": f"r{n}"}
            features = {"age": n % 60, "note": f"customer {n} of a long log"}
            shown = [{"rank": 1, "offerId": offer, "propensity": 0.1}]
            won = n % 10 == n % 7
            reward = {"classification": "positive" if won else "negative", "weight": int(won)}
            log.write(json.dumps({"kind": "decision", **ids, "features": features, "decisions": shown}) + "\n")
            log.write(json.dumps({"kind": "outcome", **ids, "offerId": offer, "outcome": "click", **reward}) + "\n")
    return path


def peak_mib(log: Path, entries: int) -> float:
    """Replay a log in a process of its own; return the most memory it held."""
    command = [str(Path(sys.executable).with_name("rewardloop")), "replay", str(log), "--model", "lin_ts", "--json"]
    done = subprocess.run([*command, "--workers", "1"], capture_output=True, check=True)
    report = json.loads(done.stdout)
    assert report["log"] == {"entries": entries, "decisions": entries // 2, "outcomesWithoutDecision": 0}
    assert report["entriesPerSecond"] > 0
    return float(report["peakMemoryBytes"] / 2**20)


def test_memory_does_not_grow_with_the_log(tmp_path: Path) -> None:
    short = peak_mib(write(tmp_path / "short.ndjson", SHORT), 2 * SHORT)
    long = peak_mib(write(tmp_path / "long.ndjson", LONG), 2 * LONG)
    assert long < short + GROWTH_MIB, (short, long)
