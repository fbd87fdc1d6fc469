"""Bodies made to break something: each is refused with a 4xx that names the field, or kept and read again."""

import gzip
import json
from collections import Counter
from typing import Final

import httpx
import pytest

from tests.fuzzing import CASES, every
from tests.integration.attacks import (
    API,
    BODIES,
    everything_is_readable,
    filled,
    keys_stay_at_home,
    name_of,
    operator,
    prepare,
    strict,
    with_body,
)
from tests.integration.conftest import Api

pytestmark = pytest.mark.anyio

JSON: Final = {"Content-Type": "application/json"}
HUGE: Final = "9" * 400
VALUES: Final = (
    *("1e400", "-1e400", "1e-400", "1e308", "5e-324", "-0.0", "9007199254740993", HUGE, f"-{HUGE}", f"{HUGE}.0"),
    *("NaN", "Infinity", "-Infinity", "true", "null", '""', '"1"', "[]", "{}", '{"a":1,"a":2}', '{"a":1e400}'),
    *('"\\ud800"', '"\\udfff\\ud800"', '"\\u0000"', f'"{"x" * 10_240}"', '{"$ref":"#"}', '[null,[[]],{"":{}}]'),
    *('"0001-01-01T00:00:00+14:00"', '"9999-12-31T23:59:59-14:00"', '"0999-01-01T00:00:00Z"'),
    "[" * 150 + "]" * 150,
    '{"a":' * 150 + "1e400" + "}" * 150,
    "{" + ",".join(f'"{n}":{n}' for n in range(10_000)) + "}",
    "[" + "0," * 20_000 + "0]",
)
"""Texts that stand where a value should."""
WHOLE: Final = {
    "nothing": b"",
    "white space": b" \n ",
    "truncated": b'{"customerId":"c',
    "two": b"{}{}",
    "a byte order mark": b"\xef\xbb\xbf{}",
    "UTF-16": "{}".encode("utf-16"),
    "no UTF-8": b'{"customerId":"\xff\xfe"}',
    "overlong UTF-8": b'{"customerId":"\xc0\xaf"}',
    "a surrogate in UTF-8": b'{"customerId":"\xed\xa0\x80"}',
    "NUL": b"\x00",
    "a control character": b'{"customerId":"a\x01b"}',
    "a comment": b"{/* */}",
    "an array": b"[]",
    "a string": b'"x"',
    "null": b"null",
    "too deep": b'{"a":' * 20_000 + b"1" + b"}" * 20_000,
    "arrays without end": b"[" * 200_000,
    "too many digits": b'{"a":' + b"9" * 5_000 + b"}",
    "compressed": gzip.compress(b"{}"),
}


def fair(answer: httpx.Response, what: str, field: str) -> str:
    """Return what became of it: kept, or refused by the field's name or another's; fail at an unfair answer."""
    said = f"{what}: {answer.status_code} {answer.text[:300]}"
    assert answer.status_code < 500, said
    body = strict(answer)
    if answer.status_code < 400:
        return "kept"
    message, details = body["error"]["message"], body["error"].get("details", [])
    assert answer.status_code in {404, 409, 413} or details or field in message or "body" in message, said
    return "named" if field in message else "refused"


def text_of(name: str, field: str, value: str, number: int) -> bytes:
    """Return a route's body with one field replaced by a text; outcomes get a key of their own."""
    members = {one: json.dumps(given) for one, given in BODIES[name].items()}
    if "idempotencyKey" in members:
        members["idempotencyKey"] = f'"{number}"'
    members[field] = value
    return ("{" + ",".join(f"{json.dumps(one)}:{given}" for one, given in members.items()) + "}").encode()


async def test_values_in_every_field_of_every_body(api: Api) -> None:
    became: Counter[str] = Counter()
    async with keys_stay_at_home(api, "made", "1"), operator(api) as its:
        places = await prepare(api)
        for method, path in with_body():
            name = name_of(method, path)
            http, path_filled = (its if path.startswith("/tenants") else api.http), API + filled(path, places)
            for start, field in enumerate((*BODIES[name], "unknown")):
                for value in every(4, VALUES, start):
                    content = text_of(name, field, value, became.total())
                    answer = await http.request(method, path_filled, content=content, headers=JSON)
                    became[fair(answer, f"{name} {field}={value[:40]}", field)] += 1
        await everything_is_readable(api, places)
    assert became.total() > (4_000 if CASES else 1_000)
    assert became["kept"] > became.total() / 10
    assert became["named"] > became["refused"]


async def test_bodies_that_are_none(api: Api) -> None:
    async with operator(api) as its:
        places = await prepare(api)
        for start, (what, content) in enumerate(WHOLE.items()):
            headers = {**JSON, "Content-Encoding": "gzip"} if what == "compressed" else JSON
            for method, path in every(3, with_body(), start):
                http = its if path.startswith("/tenants") else api.http
                answer = await http.request(method, API + filled(path, places), content=content, headers=headers)
                assert answer.status_code == 400, f"{method} {path}, {what}: {answer.status_code} {answer.text}"
                assert "body" in strict(answer)["error"]["message"], f"{method} {path}, {what}: {answer.text}"


async def test_a_line_that_is_none_stops_no_other(api: Api) -> None:
    good = {"customerId": "c1", "creativeId": "cr1", "outcome": "click"}
    lines = [json.dumps({**good, "idempotencyKey": f"k{n}"}).encode() for n in range(2)]
    bad = [one.replace(b"\n", b" ") for what, one in WHOLE.items() if what not in {"nothing", "white space"}]
    sent = {"content": b"\n".join([lines[0], *bad, lines[1]]), "headers": {"Content-Type": "application/x-ndjson"}}
    answer = await api.http.post(f"{API}/respond/bulk", **sent)  # type: ignore[arg-type]
    assert answer.status_code == 207
    statuses = [row["status"] for row in strict(answer)["results"]]
    assert statuses == [201, *([400] * len(bad)), 201]


async def test_cursors_that_no_list_returned(api: Api) -> None:
    deep = "W1tb" * 500  # [[[[…
    for path in ("/offers", "/audit-logs", "/interaction-history", "/attribution", "/frequency-caps"):
        for cursor in (deep, "", "%", "bnVsbA", "WyJcdWQ4MDAiXQ", "WzFlNDAwXQ", "W10", "\x00", "é"):
            answer = await api.get(path, params={"cursor": cursor})
            assert answer.status_code < 500, f"{path} {cursor}"
        assert (await api.get(path, params={"cursor": deep})).status_code == 400


async def test_sums_of_the_largest_values_are_numbers(api: Api) -> None:
    metric = {"name": "R", "aggregateFunction": "sum", "sourceField": "conversionValue", "windowDays": 400}
    made = (await api.post("/behavioral-metrics", metric)).json()["id"]
    for day in range(1, 8):
        given = {"conversionValue": 1.7e308, "timestamp": f"2026-01-{day:02d}T00:00:00Z"}
        assert (await api.respond(f"k{day}", outcome="purchase", **given)).status_code == 201
    largest = 1.7976931348623157e308
    rows = strict(await api.get("/interaction-summaries?customerId=c1&periodType=monthly"))["data"]
    assert [row["totalValue"] for row in rows] == [largest]
    assert strict(await api.get(f"/behavioral-metrics/{made}/values"))["data"][0]["value"] == largest
    assert (await api.get("/attribution?customerId=c1")).status_code == 200
