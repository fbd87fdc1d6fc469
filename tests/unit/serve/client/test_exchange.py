"""When a call is sent again, when not, and how long it waits, on a clock of its own."""

import httpx
import pytest

from serve.client import calls, errors
from serve.client.errors import RateLimited, RewardloopError, Unavailable
from serve.client.exchange import (
    FIRST_WAIT_S,
    LONGEST_WAIT_S,
    Broken,
    Call,
    Patience,
    Reply,
    Send,
    Wait,
    exchange,
    may_repeat,
)

ERROR = b'{"error":{"code":"X","message":"because","status":0,"requestId":"req_1"}}'
SAFE = Call("PUT", "/x", lambda reply: reply.status, repeatable=True)
UNSAFE = Call("POST", "/x", lambda reply: reply.status, repeatable=False)
DONE = Reply(200, {}, b"")
LOST = Broken(httpx.ReadTimeout("slow"), unsent=False)
UNSENT = Broken(httpx.ConnectError("refused"), unsent=True)


def reply(status: int, **headers: str) -> Reply:
    return Reply(status, {name.replace("_", "-"): value for name, value in headers.items()}, ERROR)


class Talk:
    """Plays the service's part of an exchange; the clock moves by the waits alone."""

    def __init__(self, call: Call[int], deadline_s: float = 30.0, jitter: float = 1.0) -> None:
        self.now_s = 100.0
        self.waits: list[float] = []
        self.timeouts: list[float] = []
        self._steps = exchange(call, Patience(10.0, deadline_s), lambda: self.now_s, lambda: jitter)

    def hear(self, *answers: Reply | Broken) -> int:
        """Answer the attempts in turn, the last answer for good; return what the call gives."""
        left = list(answers)
        step = next(self._steps)
        try:
            while True:
                if isinstance(step, Send):
                    self.timeouts.append(step.timeout_s)
                    step = self._steps.send(left.pop(0) if len(left) > 1 else left[0])
                else:
                    self.waits.append(step.seconds)
                    self.now_s += step.seconds
                    step = self._steps.send(None)
        except StopIteration as end:
            return int(end.value)


@pytest.mark.parametrize("status", [429, 503])
def test_what_was_refused_undone_is_sent_again_whatever_it_is(status: int) -> None:
    assert may_repeat(UNSAFE, reply(status))
    assert may_repeat(SAFE, reply(status))


@pytest.mark.parametrize("got", [LOST, reply(500), reply(502), reply(504)])
def test_what_may_have_been_done_is_sent_again_only_if_that_does_no_more(got: Reply | Broken) -> None:
    assert may_repeat(SAFE, got)
    assert not may_repeat(UNSAFE, got)


@pytest.mark.parametrize("status", [301, 400, 401, 403, 404, 405, 409, 413, 415, 422, 501])
def test_a_refusal_is_final(status: int) -> None:
    assert not may_repeat(SAFE, reply(status))


def test_an_ingress_that_has_no_replica_is_waited_for() -> None:
    unrouted = Reply(404, {}, b"Path '/x' not found. Ping http://.../-/routes for available routes.")
    assert may_repeat(UNSAFE, unrouted)
    assert Talk(SAFE).hear(unrouted, DONE) == 200
    with pytest.raises(Unavailable, match="no replica"):
        Talk(SAFE).hear(unrouted)


def test_what_never_left_is_sent_again() -> None:
    assert may_repeat(UNSAFE, UNSENT)


def test_recommend_and_promote_are_not_repeatable_the_others_are() -> None:
    assert not calls.recommend("c").repeatable
    assert not calls.promote("m", to="shadow").repeatable
    assert calls.respond(customer_id="c", outcome="click").repeatable
    assert calls.put_catalog().repeatable
    assert calls.score("m").repeatable
    assert calls.models().repeatable


def test_waits_grow_to_the_longest_and_half_of_each_is_random() -> None:
    talk = Talk(SAFE)
    assert talk.hear(*[LOST] * 8, DONE) == 200
    assert talk.waits == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 3.2, LONGEST_WAIT_S, LONGEST_WAIT_S])
    least = Talk(SAFE, jitter=0.0)
    least.hear(LOST, LOST, DONE)
    assert least.waits == pytest.approx([FIRST_WAIT_S / 2, FIRST_WAIT_S])


@pytest.mark.parametrize("status", [429, 503])
def test_the_wait_that_is_asked_for_is_kept(status: int) -> None:
    talk = Talk(UNSAFE)
    talk.hear(reply(status, retry_after="7"), DONE)
    assert talk.waits == [7.0]


@pytest.mark.parametrize("told", ["Wed, 21 Oct 2026 07:28:00 GMT", "", "-1", "soon", "٣"])
def test_a_wait_that_is_no_number_is_none(told: str) -> None:
    talk = Talk(SAFE)
    talk.hear(reply(503, retry_after=told), DONE)
    assert talk.waits == [FIRST_WAIT_S]


def test_a_wait_longer_than_the_deadline_is_not_begun() -> None:
    talk = Talk(SAFE, deadline_s=30.0)
    with pytest.raises(RateLimited) as caught:
        talk.hear(reply(429, retry_after="31"))
    assert caught.value.retry_after_s == 31.0
    assert talk.waits == []


def test_trouble_without_end_is_given_up_before_the_deadline() -> None:
    talk = Talk(SAFE, deadline_s=30.0)
    with pytest.raises(Unavailable, match="no answer: refused"):
        talk.hear(UNSENT)
    assert 30.0 - LONGEST_WAIT_S <= talk.now_s - 100.0 < 30.0


def test_no_attempt_may_outlast_the_deadline_by_much() -> None:
    talk = Talk(SAFE, deadline_s=12.0)
    talk.hear(reply(503, retry_after="9"), DONE)
    assert talk.timeouts == [10.0, pytest.approx(3.0)]


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, errors.InvalidRequest),
        (401, errors.Unauthorized),
        (403, errors.Forbidden),
        (404, errors.NotFound),
        (405, errors.InvalidRequest),
        (409, errors.Conflict),
        (413, errors.InvalidRequest),
        (422, errors.KeyReused),
        (501, errors.Unavailable),
        (302, errors.UnexpectedAnswer),
    ],
)
def test_each_refusal_has_its_error(status: int, kind: type[RewardloopError]) -> None:
    with pytest.raises(RewardloopError) as caught:
        Talk(SAFE).hear(reply(status))
    assert type(caught.value) is kind
    assert caught.value.status == status


def test_an_error_tells_what_the_service_said() -> None:
    told = (
        b'{"error":{"code":"BAD_REQUEST","message":"rank must be an integer","status":400,"requestId":"req_1",'
        b'"details":[{"field":"rank","message":"rank must be an integer"}],"new":1}}'
    )
    with pytest.raises(errors.InvalidRequest) as caught:
        Talk(SAFE).hear(Reply(400, {}, told))
    error = caught.value
    assert (error.code, error.request_id, error.details[0].field) == ("BAD_REQUEST", "req_1", "rank")
    assert str(error) == "400 BAD_REQUEST: rank must be an integer (request req_1)"


@pytest.mark.parametrize("content", [b"<html>", b"\xff", b"", b"{}", b"[]"])
def test_a_proxys_page_is_an_error_like_others(content: bytes) -> None:
    with pytest.raises(errors.InvalidRequest, match="there was no explanation"):
        Talk(SAFE).hear(Reply(418, {}, content))


def test_the_cause_of_no_answer_is_kept() -> None:
    with pytest.raises(Unavailable) as caught:
        Talk(UNSAFE).hear(LOST)
    assert caught.value.__cause__ is LOST.error


def test_waits_come_as_values() -> None:
    steps = exchange(SAFE, Patience(1.0, 2.0), lambda: 0.0, lambda: 1.0)
    assert next(steps) == Send(1.0)
    assert steps.send(LOST) == Wait(FIRST_WAIT_S)
