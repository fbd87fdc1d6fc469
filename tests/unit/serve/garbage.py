"""Small logs, whole and broken in many ways."""

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

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
        case "weight nan" | "weight inf" | "weight 1e7" | "value inf":
            name, number = what.split()
            made[1][name] = float(number)
            path = tmp_path / "bad.parquet"
            columns = {column for line in made for column in line} - {"features"}
            pq.write_table(pa.Table.from_pylist([{one: line.get(one) for one in columns} for line in made]), path)
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


SAID = [
    ("a cut file", "bad.ndjson.gz: cannot be read after line"),
    ("a missing column", "bad.parquet: line 1: Object missing required field `offerId`"),
    ("weight nan", "bad.parquet: line 2: Expected `float` >= -1000000.0 - at `$.weight`"),
    ("weight inf", "bad.parquet: line 2: Expected `float` <= 1000000.0 - at `$.weight`"),
    ("weight 1e7", "bad.parquet: line 2: Expected `float` <= 1000000.0 - at `$.weight`"),
    ("value inf", "bad.parquet: line 2: Expected `float` <= "),
    ("propensity 0", "bad.ndjson: line 5: Expected `float` > 0.0 - at `$.decisions[0].propensity`"),
    ("propensity 2", "bad.ndjson: line 5: Expected `float` <= 1.0 - at `$.decisions[0].propensity`"),
    ("a duplicate position", "bad.ndjson: line 6: position 5 comes after 5"),
    ("a long line", "bad.ndjson: line 3: is longer than 1,000,000 bytes"),
    ("no JSON", "bad.ndjson: line 3: "),
]
"""What each is told as, in the tail of its line."""
