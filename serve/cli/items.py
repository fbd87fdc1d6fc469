"""What `ingest` sends: lines of a file as items of the bulk route, in batches, and the sum of the answers."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, NamedTuple

import msgspec

from storage.entry import Scalar
from storage.line_files import as_object
from storage.public_log import BadLine, OutcomeLine, Row

MAX_BATCH_BYTES: Final = 7 * 1024 * 1024
"""The bulk route takes 8 MiB; the rest is for the envelope and one item more."""

FAILURES_KEPT: Final = 10
"""Failures told one by one; after some lines a person has seen enough."""

LEFT_OUT: Final = frozenset({"decision", "model", "offer_removed"})
"""Kinds of line that the service cannot be told in bulk; they are counted as decisions, which nearly all are."""

_encoder = msgspec.json.Encoder()
_OBJECTS: Final = ("attributes", "context", "outcomeDetails")


class _Response(msgspec.Struct, rename="camel", omit_defaults=True):
    """An outcome of the public log as the respond route takes it."""

    idempotency_key: str
    customer_id: str
    outcome: str
    creative_id: str
    timestamp: str
    rank: int | None = None
    conversion_value: float | None = None
    attributes: dict[str, Scalar] = {}


class Item(NamedTuple):
    """One outcome to send: the JSON text of a respond request, and the line it came from."""

    line: int
    body: bytes


def item_of(row: Row) -> Item | None:
    """Return what a line has to send; None for a kind that the service is not told in bulk.

    A line with `kind` is one of the public log; any other is a respond request already.

    Raises:
        BadLine: The line is neither, or lacks what makes it an outcome.
    """
    kind = row.kind()
    if kind in LEFT_OUT:
        return None
    body = _request(row) if kind is None else _encoder.encode(_response(row))
    return Item(row.number, body)


def _request(row: Row) -> bytes:
    if isinstance(row.values, bytes):
        # Decoded and written anew: whatever is sent is one well-formed JSON object.
        try:
            return _encoder.encode(msgspec.json.decode(row.values, type=dict[str, Any]))
        except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError) as error:
            raise row.bad(error) from error
    try:
        objects = {name: as_object(row.values[name]) for name in _OBJECTS if name in row.values}
        return _encoder.encode(row.values | objects)
    except (msgspec.MsgspecError, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise row.bad(error) from error


def _response(row: Row) -> _Response:
    line = row.line()
    if not isinstance(line, OutcomeLine):
        raise row.bad("expected an outcome")
    if line.creative_id is None:
        raise row.bad("creativeId is required to send an outcome")
    key = line.interaction_id
    if key is None:
        if line.recommendation_id is None or line.rank is None:
            raise row.bad("an outcome needs an interactionId, or a recommendationId and a rank")
        key = f"{line.recommendation_id}:{line.rank}:{line.outcome}"
    return _Response(
        idempotency_key=key,
        customer_id=line.customer_id,
        outcome=line.outcome,
        creative_id=line.creative_id,
        timestamp=line.time,
        rank=line.rank,
        conversion_value=line.value,
        attributes=line.features,
    )


@dataclass(slots=True)
class Batch:
    """Consecutive lines of a file and what they have to send."""

    items: list[Item] = field(default_factory=list)
    size: int = 0
    """Bytes of all items."""
    end_line: int = 0
    """The last line the batch covers."""
    decisions: int = 0
    bad: int = 0

    def body(self) -> bytes:
        """Return the request of the bulk route."""
        return b'{"outcomes":[' + b",".join(item.body for item in self.items) + b"]}"


def batches(rows: Iterable[Row], size: int, on_bad: Callable[[BadLine], None] | None = None) -> Iterator[Batch]:
    """Yield the lines in batches of `size` items, or fewer where they are long; none has only blank lines.

    Args:
        rows: The lines, in order.
        size: Items a batch has at most, 1..1000.
        on_bad: Is given each line that cannot be used. Without it the first ends the reading, after the
            batch of the lines before it.

    Raises:
        BadLine: A line cannot be used and there is no `on_bad`.
    """
    batch = Batch()
    for row in rows:
        try:
            item = item_of(row)
        except BadLine as bad:
            if on_bad is None:
                if batch.end_line:
                    yield batch
                raise
            on_bad(bad)
            batch.bad += 1
        else:
            if item is None:
                batch.decisions += 1
            else:
                batch.items.append(item)
                batch.size += len(item.body)
        batch.end_line = row.number
        if len(batch.items) == size or batch.size >= MAX_BATCH_BYTES:
            yield batch
            batch = Batch()
    if batch.end_line:
        yield batch


class Result(msgspec.Struct):
    """What the service answered to one item."""

    index: int
    status: int
    error: Any = None

    def reason(self) -> str:
        """Return the answer's error in words."""
        if isinstance(self.error, dict):
            return str(self.error.get("message", self.error))
        return str(self.error)


class Failure(msgspec.Struct):
    """A line that the service did not take."""

    line: int
    status: int
    reason: str


@dataclass(frozen=True, slots=True)
class Tally:
    """What became of the lines so far, in the order of the file."""

    lines: int = 0
    """The last line that was dealt with; all before it were too."""
    recorded: int = 0
    duplicates: int = 0
    failed: int = 0
    decisions: int = 0
    bad: int = 0
    failures: tuple[Failure, ...] = ()
    """The first of the failed."""

    @property
    def items(self) -> int:
        """Outcomes that were answered."""
        return self.recorded + self.duplicates + self.failed

    def plus(self, batch: Batch, results: Sequence[Result]) -> "Tally":
        """Return the tally with a batch and its answers added; the batch must be the next one."""
        statuses = [result.status for result in results]
        failures = [
            Failure(batch.items[result.index].line, result.status, result.reason())
            for result in results
            if result.status not in {200, 201}
        ]
        return replace(
            self,
            lines=batch.end_line,
            recorded=self.recorded + statuses.count(201),
            duplicates=self.duplicates + statuses.count(200),
            failed=self.failed + len(failures),
            decisions=self.decisions + batch.decisions,
            bad=self.bad + batch.bad,
            failures=(*self.failures, *failures)[:FAILURES_KEPT],
        )
