"""A signal asks to stop, whenever it comes."""

import select
import signal
import subprocess
import sys
import time

import pytest

WAITING = """
from serve.stopping import Stop, signals
stop = Stop()
with signals(stop):
    print("waiting", flush=True)
    while True:
        while not stop.wait(0):  # so that signals meet every moment of a wait
            pass
        stop.asked = False
        print("asked", flush=True)
"""
OFTEN, HUNG_S = 2_000, 30


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_is_obeyed_at_every_moment_of_a_wait(number: signal.Signals) -> None:
    waiting = subprocess.Popen([sys.executable, "-c", WAITING], stdout=subprocess.PIPE, text=True)
    assert waiting.stdout is not None
    try:
        assert waiting.stdout.readline() == "waiting\n"
        for turn in range(OFTEN):
            time.sleep(turn % 7 * 1e-6)
            waiting.send_signal(number)
            assert select.select([waiting.stdout], [], [], HUNG_S)[0], f"it hangs since signal {turn}"
            assert waiting.stdout.readline() == "asked\n"
    finally:
        waiting.kill()
        waiting.communicate()
