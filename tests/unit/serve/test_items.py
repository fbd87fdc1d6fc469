"""The pure part of `ingest`: lines, batches and the order of answers."""

import asyncio
import json
from pathlib import Path

import msgspec
import pytest

from serve.cli.ingest import send_all
from serve.cli.items import Batch, Item, Result, batches
from storage.public_log import BadLine, OutcomeLine, Row, encode_line

OUTCOME = OutcomeLine(
    time="2026-03-16T14:35:00.000Z",
    customer_id="c1",
    interaction_id="i1",
    offer_id="o1",
    creative_id="cr1",
    outcome="click",
    classification="positive",
    weight=1.0,
)


def row(number: int, item: object) -> Row:
    return Row(Path("f.ndjson"), number, json.dumps(item).encode())


@pytest.mark.parametrize("field", ["creative_id", "interaction_id"])
def test_an_outcome_that_cannot_be_sent_is_a_bad_line(field: str) -> None:
    line = msgspec.structs.replace(OUTCOME, **{field: None})

    with pytest.raises(BadLine, match=f"line 9: .*{field.split('_', maxsplit=1)[0]}Id"):
        list(batches([Row(Path("f.ndjson"), 9, encode_line(line))], 10))


def test_a_bad_line_comes_after_the_batch_of_the_lines_before_it() -> None:
    rows = [row(1, {"a": 1}), row(2, []), row(3, {})]
    made = batches(rows, 10)

    assert next(made).end_line == 1
    with pytest.raises(BadLine, match="line 2: "):
        next(made)

    (skipped,) = batches(rows, 10, lambda _: None)
    assert (skipped.end_line, len(skipped.items), skipped.bad) == (3, 2, 1)


def test_long_lines_make_smaller_batches() -> None:
    rows = [row(number, {"context": "x" * 200_000}) for number in range(1, 101)]

    made = list(batches(rows, 1000))

    assert max(len(batch.body()) for batch in made) < 8 * 1024 * 1024
    assert [item.line for batch in made for item in batch.items] == list(range(1, 101))
    assert len(made) == 3


def test_answers_are_told_in_the_order_of_the_file_and_few_are_under_way() -> None:
    under_way = most = 0
    told: list[int] = []

    async def send(batch: Batch) -> list[Result]:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        for _ in range(10 - batch.end_line):  # the later, the sooner answered
            await asyncio.sleep(0)
        under_way -= 1
        return []

    source = [Batch([Item(line, b"{}")], end_line=line) for line in range(1, 10)]
    asyncio.run(send_all(source, send, 3, lambda batch, _: told.append(batch.end_line)))

    assert told == list(range(1, 10))
    assert most == 3


def test_an_interrupt_ends_what_is_under_way_and_tells_only_what_was_answered() -> None:
    told: list[int] = []
    ended: list[int] = []

    async def interrupted() -> None:
        stuck = asyncio.Event()

        async def send(batch: Batch) -> list[Result]:
            try:
                if batch.end_line == 4:
                    stuck.set()
                if batch.end_line > 2:
                    await asyncio.Event().wait()
            finally:
                ended.append(batch.end_line)
            return []

        source = [Batch([Item(line, b"{}")], end_line=line) for line in range(1, 10)]
        running = asyncio.ensure_future(send_all(source, send, 2, lambda batch, _: told.append(batch.end_line)))
        await stuck.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(interrupted())

    assert told == [1, 2]
    assert sorted(ended) == [1, 2, 3, 4]
