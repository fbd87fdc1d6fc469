"""The shell around a learner: what it does when the learner fails in a way that nobody expects."""

import os

import pytest

from learners import actor
from learners.learner import Learner
from storage.archive import Archive

pytestmark = pytest.mark.anyio


class Ended(BaseException):
    """The process would have ended."""


async def test_a_learner_that_fails_ends_its_process(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(_: Learner) -> None:
        raise ZeroDivisionError

    def ended(code: int) -> None:
        raise Ended(code)

    monkeypatch.setattr(Learner, "run", fail)
    monkeypatch.setattr(os, "_exit", ended)
    monkeypatch.setattr(actor, "RESTART_PAUSE_S", 0.0)
    shell = actor._LearnerShell(0, 1, 1, "redis://nowhere", 1.0, "nowhere", 10, False)
    with pytest.raises(Ended, match="1"):
        await shell.run()


async def test_an_archivist_that_fails_is_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop raises what its archivist raised, instead of living on without one."""

    async def nothing(*_: object) -> bool:
        return True

    async def fail(_: Learner) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Learner, "_until_it_works", nothing)
    monkeypatch.setattr(Learner, "_guarded", nothing)
    monkeypatch.setattr(Learner, "_archiving", fail)
    with pytest.raises(ZeroDivisionError):
        await Learner("learner", "redis://127.0.0.1:1", [0], archive=Archive("nowhere")).run()
