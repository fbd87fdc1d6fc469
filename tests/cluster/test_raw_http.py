"""What no HTTP library sends, over a real connection through HAProxy: half requests, two in one, paths with tricks.

All of it while more requests hang half-sent than replicas would take.
"""

import json
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from itertools import count
from pathlib import Path
from typing import Final

import httpx
import psutil
import pytest

from serve.ports import PLACES, REPLICA_PORTS, REPLICAS
from tests.rawhttp import connect, framings, request, said, spoken, statuses
from tests.service import Service, running

HALF_SENT: Final = 150
"""Of each kind."""
ONGOING: Final = 10
CUT_S: Final = 90
API: Final = "/api/v1"
CHUNKED_AT_LAST: Final = "identity, chunked"
"""By RFC 9112 the last coding counts, so that these are two requests; HAProxy refuses them, a replica obeys."""
_numbers = count()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running(tmp_path_factory.mktemp("raw"), REWARDLOOP_MAX_ONGOING_REQUESTS=str(ONGOING)) as started:
        yield started


@pytest.fixture(scope="module")
def headers(service: Service) -> dict[str, str]:
    return service.tenant("raw")


@pytest.fixture(scope="module")
def other(service: Service) -> dict[str, str]:
    """The headers of a second tenant, who has an offer that nobody else may see."""
    own = service.tenant("neighbour")
    made = httpx.post(f"{service.url}{API}/offers", json={"id": "theirs", "name": "Theirs-alone"}, headers=own)
    assert made.status_code == 201
    return own


@pytest.fixture(scope="module", autouse=True)
def hanging(service: Service, headers: dict[str, str], other: dict[str, str]) -> Iterator[list[socket.socket]]:
    """Connections with half a request each: the head, the body of somebody who may send one, and of nobody."""
    del other  # it is there by then
    post = f"POST {API}/respond HTTP/1.1"
    starts = (
        f"{post}\r\nHost: a\r\nX-A: b\r\n".encode(),
        request(post, "Host: a", *lines(headers), "Content-Length: 100", body=b'{"customerId":'),
        request(post, "Host: a", *lines(headers), "Transfer-Encoding: chunked", body=b"64\r\n{"),
        request(post, "Host: a", "Content-Length: 100", body=b"{"),
    )
    with ExitStack() as opened:
        socks = [opened.enter_context(closing(connect(service.port))) for _ in range(HALF_SENT * len(starts))]
        for number, sock in enumerate(socks):
            sock.sendall(starts[number % len(starts)])
        yield socks


def lines(headers: dict[str, str]) -> list[str]:
    """Return headers as they are sent, with the body's type."""
    return [f"{name}: {value}" for name, value in {**headers, "Content-Type": "application/json"}.items()]


def outcome(key: str) -> bytes:
    body = {"customerId": "c", "creativeId": "cr1", "outcome": "click", "idempotencyKey": key}
    return json.dumps(body).encode()


def click(url: str, headers: dict[str, str], key: str) -> int:
    """Return 201 if nobody has used the key before, else 200."""
    typed = {**headers, "Content-Type": "application/json"}
    return httpx.post(f"{url}{API}/respond", content=outcome(key), headers=typed, timeout=60).status_code


def replica_ports(service: Service) -> list[int]:
    """Return where replicas listen for HTTP, behind HAProxy."""
    ports = range(REPLICAS, REPLICAS + PLACES * REPLICA_PORTS)
    found = [
        one.laddr.port
        for process in service.processes("ray::ServeReplica")
        for one in process.net_connections("inet")
        if one.status == psutil.CONN_LISTEN and one.laddr.port in ports
    ]
    return [port for port in found if said(port, request("GET /-/healthz HTTP/1.1", "Host: a")) == [200]]


def test_half_sent_requests_keep_nobody_waiting(service: Service, headers: dict[str, str]) -> None:
    assert HALF_SENT > ONGOING * 5, "as bodies at a replica they would be more than it takes"
    with ThreadPoolExecutor(4) as pool:
        keys = [f"meanwhile-{n}" for n in range(40)]
        assert [*pool.map(lambda key: click(service.url, headers, key), keys)] == [201] * 40


def test_a_request_that_can_be_read_as_two_is_never_two(service: Service, headers: dict[str, str]) -> None:
    post = f"POST {API}/respond HTTP/1.1"
    own = ("Host: a", *lines(headers))
    [replica, *_] = replica_ports(service)

    def tried(name: str, port: int) -> tuple[str, list[int], int]:
        key = f"smuggled-{next(_numbers)}"
        body = outcome(key)
        inner = request(post, *own, f"Content-Length: {len(body)}", body=body)
        answered = said(port, framings(post, own, inner)[name])
        return name, answered, click(service.url, headers, key)

    names = list(framings(post, own, b""))
    with ThreadPoolExecutor(8) as pool:
        for port in (service.port, replica):
            asked = [name for name in names if port == service.port or name != CHUNKED_AT_LAST]
            for name, answered, known in pool.map(tried, asked, [port] * len(asked)):
                what = f"{name} on {'HAProxy' if port == service.port else 'a replica'}: {answered}"
                assert len(answered) == 1, what
                assert answered[0] < 500, what
                assert known == 201, f"{what}: the inner request was obeyed"


def test_two_requests_of_one_connection_are_two(service: Service, headers: dict[str, str]) -> None:
    """So that the tests above can fail."""
    own = ("Host: a", *lines(headers))
    both = b""
    for key in ("first", "second"):
        body = outcome(key)
        both += request(f"POST {API}/respond HTTP/1.1", *own, f"Content-Length: {len(body)}", body=body)
    assert said(service.port, both, least=2) == [201, 201]
    assert [click(service.url, headers, key) for key in ("first", "second")] == [200, 200]


@pytest.mark.parametrize(
    ("line", "more", "statuses"),
    [
        (f"GET http://elsewhere{API}/offers HTTP/1.1", ("Host: a",), {400}),
        (f"GET http://a{API}/offers HTTP/1.1", ("Host: a",), {200}),
        (f"GET {API}/offers HTTP/1.1", ("Host: a", "Host: b"), {400}),
        (f"GET {API}/off\0ers HTTP/1.1", ("Host: a",), {400}),
        (f"GET {API}/offers HTTP/1.1", ("Host: a", "X-A: b\0"), {400}),
        (f"CONNECT a:{80} HTTP/1.1", ("Host: a:80",), {400, 404, 405}),
        (f"TRACE {API}/offers HTTP/1.1", ("Host: a",), {405}),
        ("OPTIONS * HTTP/1.1", ("Host: a",), {400, 404, 405}),
        (f"get {API}/offers HTTP/1.1", ("Host: a",), {400, 405}),
        (f"GET {API}/offers", (), {400}),
        ("PRI * HTTP/2.0\r\n\r\nSM", (), {400}),
        (f"GET {API}/offers HTTP/1.1", ("Host: a", "Connection: Upgrade", "Upgrade: h2c"), {200}),
        (
            f"GET {API}/offers HTTP/1.1",
            ("Host: a", "Connection: Upgrade", "Upgrade: websocket"),
            {200, 400, 403, 404},
        ),
        (f"GET {API}/offers HTTP/1.1", ("Host: a", "X-A: " + "a" * 20_000), {400, 431}),
        (f"GET {API}/offers HTTP/1.1", ("Host: a", *(f"X-{n}: a" for n in range(500))), {400, 431}),
        (f"GET {API}/offers?{'a' * 20_000} HTTP/1.1", ("Host: a",), {400, 414}),
        (f"GET {API}/offers HTTP/1.1", ("Host: a", "Expect: nothing"), {200, 417}),
    ],
)
def test_odd_requests_have_one_answer(
    service: Service, headers: dict[str, str], line: str, more: tuple[str, ...], statuses: set[int]
) -> None:
    [status] = said(service.port, request(line, *more, *lines(headers)))
    assert status in statuses
    assert click(service.url, headers, f"after-{next(_numbers)}") == 201, "others are answered"


@pytest.mark.parametrize("framing", ["length", "chunks"])
def test_a_body_that_is_too_large_is_refused(service: Service, headers: dict[str, str], framing: str) -> None:
    size = 300_000
    chunk = b"%x\r\n%s\r\n" % (10_000, b"x" * 10_000)
    length = framing == "length"
    body = b"x" * size if length else chunk * (size // 10_000) + b"0\r\n\r\n"
    head = f"Content-Length: {size}" if length else "Transfer-Encoding: chunked"
    raw = request(f"POST {API}/respond HTTP/1.1", "Host: a", *lines(headers), head, body=body)
    assert said(service.port, raw) == [413]
    assert click(service.url, headers, f"after-{next(_numbers)}") == 201


PUBLIC: Final = {"/-/healthz", "/-/readyz", "/-/metrics", "/-/routes", "/docs", "/openapi.json"}
TRICKS: Final = [
    f"{start}{trick}{end}"
    for start in (API, f"{API}/offers", "/-/healthz", "/docs", "/console", "/console/static", "")
    for trick in (
        "//",
        "/../",
        "/..;/",
        "/%2e%2e/",
        "/..%2f",
        "/.%2e/",
        "/%252e%252e/",
        "/..%5c",
        "/;/",
        "/%00/",
        "/./",
    )
    for end in ("offers", "offers/theirs", "api/v1/offers", "api-keys", "tenants/neighbour", "app.py")
]


def test_paths_with_tricks_open_nothing(service: Service, headers: dict[str, str], other: dict[str, str]) -> None:
    """With no key nothing is read; with a key nothing of others."""
    del other
    with ThreadPoolExecutor(4) as pool:
        for own in ([], lines(headers)):
            raws = [request(f"GET {path} HTTP/1.1", "Host: a", "Connection: close", *own) for path in TRICKS]
            for path, answer in zip(TRICKS, pool.map(lambda raw: spoken(service.port, raw), raws), strict=True):
                [status] = statuses(answer)
                assert status < 500, path
                assert b"Theirs-alone" not in answer, path
                assert b"import " not in answer, path
                if not own:
                    assert status in {301, 302, 303, 307, 308, 400, 401, 404, 405}, f"{path}: {answer[:300]!r}"


def test_the_neighbours_offer_is_there(service: Service, headers: dict[str, str], other: dict[str, str]) -> None:
    """So that the test above can fail; and a key opens its own tenant alone, however often the header is sent."""
    path = f"GET {API}/offers/theirs HTTP/1.1"
    assert b"Theirs-alone" in spoken(service.port, request(path, "Host: a", *lines(other)))
    for first, second in ((headers, other), (other, headers)):
        mixed = [f"X-Tenant-Id: {first['X-Tenant-Id']}", f"X-Tenant-Id: {second['X-Tenant-Id']}"]
        raw = request(path, "Host: a", *mixed, f"Authorization: {headers['Authorization']}")
        assert b"Theirs-alone" not in spoken(service.port, raw)


def test_no_request_is_logged_elsewhere(service: Service) -> None:
    [config] = Path(service.redis_url.removeprefix("unix://")).parent.rglob("haproxy.cfg")
    assert "log global" not in config.read_text()


def test_half_sent_requests_are_cut(hanging: list[socket.socket]) -> None:
    assert {tuple(statuses(until_closed(sock))) for sock in hanging} == {(408,)}


def until_closed(sock: socket.socket) -> bytes:
    received = b""
    sock.settimeout(CUT_S)
    while data := sock.recv(65_536):
        received += data
    return received


def test_an_escaped_slash_comes_through_as_part_of_an_id(service: Service, headers: dict[str, str]) -> None:
    place = f"{service.url}{API}/behavioral-metrics"
    for item_id in ("a", "a/values"):
        metric = {"id": item_id, "name": item_id, "aggregateFunction": "count"}
        assert httpx.post(place, json=metric, headers=headers).status_code == 201
    assert httpx.get(f"{place}/a%2Fvalues", headers=headers).json()["id"] == "a/values"
    assert "data" in httpx.get(f"{place}/a/values", headers=headers).json()
