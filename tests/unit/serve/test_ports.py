"""Ports of services on one machine: nobody takes another's, also while nobody listens on them."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import pairwise

import pytest

from serve import ports
from serve.errors import ServiceError

METRICS = "RAY_SERVE_HAPROXY_METRICS_PORT"
HOLD = f"from serve import ports; print(ports.reserved()['{METRICS}'], flush=True); input()"


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """What a test reserves goes with it; what others of this process did stays."""
    before = len(ports._names)
    ports.reserved.cache_clear()
    yield
    while len(ports._names) > before:
        os.close(ports._names.pop())
    ports.reserved.cache_clear()


@pytest.fixture
def other() -> Iterator[Callable[[], tuple[subprocess.Popen[str], str]]]:
    """Processes that reserve ports and never listen on them."""
    started: list[subprocess.Popen[str]] = []

    def start() -> tuple[subprocess.Popen[str], str]:
        process = subprocess.Popen([sys.executable, "-c", HOLD], stdin=-1, stdout=-1, text=True)
        started.append(process)
        assert process.stdout is not None
        return process, process.stdout.readline().strip()

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_nobody_gets_what_another_has_reserved_and_does_not_listen_on(
    other: Callable[[], tuple[subprocess.Popen[str], str]],
) -> None:
    taken = [other()[1] for _ in range(3)]
    mine = ports.reserved()
    assert len({*taken, mine[METRICS]}) == 4
    assert ports.reserved() == mine, "a process has one place"


def test_a_place_is_free_again_when_its_process_was_killed(
    other: Callable[[], tuple[subprocess.Popen[str], str]],
) -> None:
    process, port = other()
    place = int(port) - ports.SINGLE[METRICS]
    assert not ports._held(place)
    process.kill()
    process.wait()
    assert ports._held(place)


def test_ports_that_somebody_listens_on_are_passed_over() -> None:
    first = int(ports.reserved()[METRICS])
    os.close(ports._names.pop())
    ports.reserved.cache_clear()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", first))
        listener.listen()
        assert int(ports.reserved()[METRICS]) != first


def test_ports_that_the_service_has_a_use_for_already_are_passed_over() -> None:
    first = int(ports.reserved()[METRICS])
    os.close(ports._names.pop())
    assert int(ports.reserved(first, 8265)[METRICS]) != first


def test_replicas_of_two_places_share_no_port_and_none_is_the_kernels() -> None:
    first, last = "RAY_SERVE_DIRECT_INGRESS_MIN_HTTP_PORT", "RAY_SERVE_DIRECT_INGRESS_MAX_HTTP_PORT"
    places = [ports._ports(place) for place in range(ports.PLACES)]
    assert all(int(one[last]) < int(next_[first]) for one, next_ in pairwise(places))
    assert int(places[-1][last]) < 32_768


def test_a_machine_without_a_place_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "_held", lambda _: False)
    with pytest.raises(ServiceError, match=r"no place is left .* 8500 to 8529, .* 8404 to 8433"):
        ports.reserved()
