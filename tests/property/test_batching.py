"""Laws of batching: whatever is added is sent once, in order, in requests that the service takes."""

from hypothesis import given, settings
from hypothesis import strategies as st

from serve.client import Outcome
from serve.client.answers import BulkAnswer, BulkError, BulkResult
from serve.client.batching import MAX_BYTES, Ledger

OUTCOMES = st.lists(st.sampled_from([1, 100, 900_000, 3_000_000]), max_size=40)
STATUSES = (201, 200, 404)


def answer(number: int, first: int) -> BulkAnswer:
    statuses = [STATUSES[(first + index) % 3] for index in range(number)]
    error = BulkError(code="NOT_FOUND", message="gone")
    rows = [BulkResult(index=i, status=one, error=error if one == 404 else None) for i, one in enumerate(statuses)]
    counts = [statuses.count(one) for one in STATUSES]
    return BulkAnswer(processed=number, recorded=counts[0], duplicates=counts[1], failed=counts[2], results=rows)


@given(sizes=OUTCOMES, size=st.integers(1, 7), turns=st.lists(st.booleans(), max_size=200))
@settings(max_examples=60, deadline=None)
def test_requests_hold_what_was_added_in_order_and_no_more_than_they_may(
    sizes: list[int], size: int, turns: list[bool]
) -> None:
    ledger = Ledger(size, 1.0, keeps_failures=True)
    added: list[str] = []
    sent: list[bytes] = []
    refused: list[str] = []

    def send() -> None:
        taken = ledger.take()
        assert 1 <= len(taken) <= size
        assert sum(len(one) + 1 for one in taken) <= MAX_BYTES
        settled = len(sent)
        sent.extend(taken)
        assert [one.idempotency_key for one in ledger.unacknowledged] == added[settled:]
        refused.extend(one.outcome.idempotency_key for one in ledger.settle(answer(len(taken), settled)))

    for number, length in enumerate(sizes):
        while not ledger.has_room or (turns and turns.pop() and ledger.due_in_s(0.0) == 0.0):
            send()
        ledger.add(
            Outcome(customer_id="x" * length, outcome="click", idempotency_key=f"k{number}"), now_s=float(number)
        )
        added.append(f"k{number}")
        assert len(ledger.unacknowledged) <= 2 * size
    ledger.hurried = True
    while ledger.due_in_s(0.0) is not None:
        assert ledger.due_in_s(0.0) == 0.0
        send()

    keys = [one.split(b'"idempotencyKey":"')[1].split(b'"')[0].decode() for one in sent]
    assert keys == added
    assert ledger.unacknowledged == []
    assert ledger.recorded + ledger.duplicates + ledger.failed == ledger.answered == len(added)
    assert refused == [key for index, key in enumerate(added) if index % 3 == 2]


@given(ages=st.lists(st.floats(0, 10), min_size=1, max_size=5), max_age_s=st.floats(0, 10))
def test_the_oldest_decides_when_something_is_due(ages: list[float], max_age_s: float) -> None:
    ledger = Ledger(1_000, max_age_s, keeps_failures=True)
    assert ledger.due_in_s(0.0) is None
    since = sorted(ages)
    for moment in since:
        ledger.add(Outcome(customer_id="c", outcome="click"), moment)
    assert ledger.due_in_s(since[0] + max_age_s) == 0.0
    assert ledger.due_in_s(since[0]) == since[0] + max_age_s - since[0]
