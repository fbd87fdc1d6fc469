"""Answers of somebody who is not the service, or whose answer was damaged: the client's errors, nothing else."""

from typing import Any, Final

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from serve.client import calls
from serve.client.errors import RewardloopError, UnexpectedAnswer
from serve.client.exchange import Call, Patience, Reply, Send, exchange
from serve.client.outcomes import Outcome
from tests.fuzzing import damaged, fuzzed

ANSWERS: Final = (
    (
        b'{"interactionId":"i","recommendationId":null,"customerId":"c","outcome":"click","classification":"positive",'
        b'"rank":1,"offerName":"O","creativeName":"C","channelName":"W","categoryName":null,"status":"recorded",'
        b'"timestamp":"2026-03-16T14:35:00.000Z"}'
    ),
    b'{"processed":1,"recorded":1,"duplicates":0,"failed":0,"results":[{"index":0,"status":201,"interactionId":"i"}]}',
    b'{"data":[{"id":"o1","name":"Gold","version":1}],"pagination":{"total":1,"limit":20,"hasMore":false}}',
    b'{"error":{"code":"X","message":"because","status":0,"requestId":"r","details":[{"field":"a","message":"b"}]}}',
)
OUTCOME: Final = Outcome(outcome="click", customer_id="c", creative_id="cr1", idempotency_key="k")
ASKED: Final[tuple[Call[Any], ...]] = (
    calls.respond_bulk([OUTCOME]),
    calls.respond_with(lambda: OUTCOME)(),
    calls.recommend("c"),
    calls.offers(),
    calls.models(),
    calls.model_state("m"),
    calls.history(),
    calls.settings(),
)
RESPOND: Final = ASKED[1]
NAMES: Final = ("x-log-position", "retry-after", "idempotency-mismatch", "x-request-id")
VALUES: Final = ("", "-1", "1e9", "9" * 400, "²", "\u0661", "Wed, 21 Oct 2026 07:28:00 GMT", " 5", "0x10", "true")


def told(call: Call[Any], reply: Reply) -> Any:
    """Return what a call makes of an answer: a value, or one of the client's errors."""
    steps = exchange(call, Patience(1.0, 0.0), lambda: 0.0, lambda: 0.0)
    assert isinstance(next(steps), Send)
    try:
        steps.send(reply)
    except StopIteration as end:
        return end.value
    except RewardloopError as error:
        return error
    raise AssertionError("nothing is left of the deadline")


@fuzzed(400)
@given(
    call=st.sampled_from(ASKED),
    status=st.sampled_from([200, 201, 204, 207, 302, 400, 401, 404, 418, 429, 500, 503, 599]),
    headers=st.dictionaries(st.sampled_from(NAMES), st.sampled_from(VALUES) | st.text(max_size=20), max_size=4),
    content=st.binary(max_size=40) | st.sampled_from(ANSWERS) | damaged(*ANSWERS),
)
@example(call=ASKED[-2], status=200, headers={}, content=b'{"data":' + b"[" * 3_000)
@example(call=RESPOND, status=400, headers={}, content=b'{"error":' + b'{"a":' * 3_000)
@example(call=ASKED[-1], status=200, headers={}, content=b'{"\xff":1}')
def test_any_answer(call: Call[Any], status: int, headers: dict[str, str], content: bytes) -> None:
    got = told(call, Reply(status, headers, content))
    if not 200 <= status < 300:
        assert isinstance(got, RewardloopError)
    assert str(got)


@pytest.mark.parametrize("position", ["", "-1", "1.5", "²", "9" * 20, "nan"])
def test_a_position_that_is_none_is_unexpected(position: str) -> None:
    got = told(RESPOND, Reply(201, {"x-log-position": position}, ANSWERS[0]))
    assert isinstance(got, UnexpectedAnswer)


def test_a_position_is_read() -> None:
    assert told(RESPOND, Reply(201, {"x-log-position": "7"}, ANSWERS[0])).log_position == 7
