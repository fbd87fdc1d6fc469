"""POST /respond and /respond/bulk: outcomes in, acknowledgements out.

Both skip FastAPI's parameter handling, for they are the hot path; `serve.openapi` documents them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from serve import respond
from serve.errors import ApiError, unavailable
from serve.gate import (
    BODY_BYTES,
    BULK_BODY_BYTES,
    STALE_RETRIES,
    Caller,
    limit_headers,
    limited,
    read_body,
)
from serve.jsonbody import as_object, parse_json, parse_object
from serve.respond import Submission
from serve.routing import JSON_ONLY, services_of, tell_limit
from serve.services import Services
from storage.clock import now_ms
from storage.commit import Committed
from storage.entry import unpack_entry

BULK_MAX = 1000
BULK_CHUNK = 128
"""Outcomes of a bulk request in one script call: some 3 ms in which Redis serves nobody else."""
NDJSON = "application/x-ndjson"


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one submission: a commit, or the error that it is answered with."""

    committed: Committed
    error: ApiError | None


async def respond_one(request: Request) -> Response:
    """Record the outcome of a recommendation."""
    services = services_of(request)
    caller = await services.gate.identify(request.headers, "respond")
    raw = await read_body(request, BODY_BYTES, JSON_ONLY)
    try:
        submission = respond.parse(parse_object(raw), request.headers.get("idempotency-key"), now_ms())
    except ApiError:
        _, headers = await services.gate.admit(caller, "respond", "respond")  # an invalid request counts too
        tell_limit(request, headers)
        services.metrics.outcome("refused")
        raise
    caller, [result] = await _record(services, caller, [submission], "respond")
    limit = caller.tenant.limit("respond")
    committed = result.committed
    services.metrics.outcome(committed.status)
    if committed.status == "limited":
        raise limited("respond", limit, committed.wait_ms)
    tell_limit(request, limit_headers("respond", limit, committed.remaining))
    if result.error is not None:
        raise result.error
    return _acknowledge(caller, submission, committed)


async def respond_bulk(request: Request) -> Response:
    """Record up to 1,000 outcomes; each is answered for itself."""
    services = services_of(request)
    caller = await services.gate.identify(request.headers, "respond")
    raw = await read_body(request, BULK_BODY_BYTES, (*JSON_ONLY, NDJSON))
    caller, headers = await services.gate.admit(caller, "bulk", "bulk")
    tell_limit(request, headers)
    items = _lines(raw) if request.headers["content-type"].lower().startswith(NDJSON) else _outcomes(raw)
    time_ms = now_ms()
    parsed = [_parse(item, time_ms) for item in items]
    submissions = [item for item in parsed if isinstance(item, Submission)]
    caller, recorded = await _record(services, caller, submissions, "")
    results = iter(recorded)
    rows = [
        _error_row(index, item) if isinstance(item, ApiError) else _row(index, next(results), item, caller)
        for index, item in enumerate(parsed)
    ]
    for row in rows:
        services.metrics.outcome(_COUNTED[row["status"]])
    return _Json(_summary(rows), 207)


async def _record(
    services: Services, caller: Caller, submissions: Sequence[Submission], limit_name: str
) -> tuple[Caller, list[Result]]:
    """Commit submissions in order; those decided on an old configuration are decided again on the new one.

    Returns the caller, renewed if so, and a result for each submission.
    """
    limit = caller.tenant.limit(limit_name) if limit_name else 0
    results: dict[int, Result] = {}
    open_ = list(range(len(submissions)))
    for _ in range(STALE_RETRIES):
        made = [respond.to_commit(submissions[i], caller.tenant, limit_name, limit) for i in open_]
        committed: list[Committed] = []
        for start in range(0, len(made), BULK_CHUNK):
            chunk = [commit for commit, _ in made[start : start + BULK_CHUNK]]
            answered = await services.coalescer.submit(caller.tenant.partition, chunk)
            recall = partial(services.past.recall, caller.tenant.partition, caller.tenant.id)
            committed += [await recall(one) for one in answered]
        for i, item, (_, refused) in zip(open_, committed, made, strict=True):
            results[i] = Result(item, _error_of(item, refused))
        open_ = [i for i in open_ if results[i].committed.status == "stale"]
        if not open_:
            return caller, [results[i] for i in range(len(submissions))]
        caller = await services.gate.renew(caller)
        limit = caller.tenant.limit(limit_name) if limit_name else 0
    raise unavailable()


def _error_of(committed: Committed, refused: ApiError | None) -> ApiError | None:
    match committed.status:
        case "recorded" | "duplicate" | "limited" | "stale":
            return None
        case "refused":
            return refused
        case status:
            return respond.refusal(status)


def _acknowledge(caller: Caller, submission: Submission, committed: Committed) -> Response:
    entry = unpack_entry(committed.entry)
    if committed.status == "recorded":
        return _Json(respond.answer(entry, "recorded"), 201, x_log_position=str(entry.position))
    headers = {}
    if committed.fingerprint != submission.fingerprint:
        if _rejects_mismatch(caller):
            raise ApiError(
                422, "idempotencyKey was used for another outcome", headers={"Idempotency-Mismatch": "true"}
            )
        headers["idempotency_mismatch"] = "true"
    return _Json(respond.answer(entry, "already_recorded"), 200, **headers)


def _rejects_mismatch(caller: Caller) -> bool:
    return bool(caller.tenant.settings["idempotency"]["onMismatch"] == "reject")


def _outcomes(raw: bytes) -> list[Any]:
    items = parse_object(raw).get("outcomes")
    if not isinstance(items, list):
        raise ApiError(400, "outcomes must be an array")
    return _bounded(items)


def _lines(raw: bytes) -> list[Any]:
    return _bounded([line for line in raw.split(b"\n") if line.strip()])


def _bounded(items: list[Any]) -> list[Any]:
    if not 1 <= len(items) <= BULK_MAX:
        raise ApiError(400, f"outcomes must have 1 to {BULK_MAX} entries")
    return items


def _parse(item: Any, time_ms: int) -> Submission | ApiError:
    try:
        value = parse_json(item) if isinstance(item, bytes) else item
        return respond.parse(as_object(value, "outcome"), None, time_ms)
    except ApiError as error:
        return error


_COUNTED = {201: "recorded", 200: "duplicate", 400: "refused", 404: "refused", 422: "refused", 500: "lost"}


def _row(index: int, result: Result, submission: Submission, caller: Caller) -> dict[str, Any]:
    if result.error is not None:
        return _error_row(index, result.error)
    committed = result.committed
    if (
        committed.status == "duplicate"
        and committed.fingerprint != submission.fingerprint
        and _rejects_mismatch(caller)
    ):
        return _error_row(index, ApiError(422, "idempotencyKey was used for another outcome"))
    status = 201 if committed.status == "recorded" else 200
    interaction_id = respond.answer(unpack_entry(committed.entry), "recorded")["interactionId"]
    return {"index": index, "status": status, "interactionId": interaction_id}


def _error_row(index: int, error: ApiError) -> dict[str, Any]:
    detail = {"code": error.body("")["error"]["code"], "message": error.message}
    return {"index": index, "status": error.status, "error": detail}


def _summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    statuses = [row["status"] for row in rows]
    recorded, duplicates = statuses.count(201), statuses.count(200)
    return {
        "processed": len(rows),
        "recorded": recorded,
        "duplicates": duplicates,
        "failed": len(rows) - recorded - duplicates,
        "results": rows,
    }


class _Json(Response):
    """An answer in JSON whose headers are written as they are: half of what `Response` does is to look at them."""

    def __init__(self, value: Any, status: Literal[200, 201, 207], **headers: str) -> None:
        self.status_code = status
        self.background = None
        self.body = msgspec.json.encode(value)
        self.raw_headers = [
            (b"content-length", b"%d" % len(self.body)),
            (b"content-type", b"application/json"),
            *((name.replace("_", "-").encode(), text.encode()) for name, text in headers.items()),
        ]
