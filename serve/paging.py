"""Lists in pages: an opaque cursor that names the last item seen."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Final, TypeAlias

from fastapi import Query
from pydantic_core import from_json

from serve.errors import bad_request
from storage.config import Doc

MAX_PAGE: Final = 100
Place: TypeAlias = tuple[str, ...]
"""Where an item stands in its list."""
Limit = Annotated[int, Query(ge=1, le=MAX_PAGE)]
Cursor = Annotated[str | None, Query(max_length=2048)]


def newest_page(rows: Sequence[Doc], total: int, limit: int, place: Callable[[Doc], Place]) -> dict[str, Any]:
    """Return a page of rows that are newest first; `rows` has one more than `limit` where there are more.

    Args:
        rows: What the store gave.
        total: How many there are in all.
        limit: Of the page.
        place: What the cursor says of a row, to go on behind it.
    """
    data, more = rows[:limit], len(rows) > limit
    return _answer(data, total, limit, place(data[-1]) if more else None)


def _age(doc: Doc) -> Place:
    return doc["createdAt"], doc["id"]


def page(
    docs: Sequence[Any], limit: int, cursor: str | None, place: Callable[[Any], Place] = _age
) -> dict[str, Any]:
    """Return the page of `docs` behind `cursor`, by their places: oldest first, unless said otherwise.

    Raises:
        ApiError: 400, the cursor is not one of ours.
    """
    ordered = sorted(docs, key=place)
    after = place_of(cursor) if cursor is not None else None
    rest = [doc for doc in ordered if after is None or place(doc) > after]
    data = rest[:limit]
    more = len(rest) > limit
    return _answer(data, len(docs), limit, place(data[-1]) if more else None)


def _answer(data: Sequence[Doc], total: int, limit: int, last: Place | None) -> dict[str, Any]:
    following = None if last is None else _encode(last)
    return {
        "data": data,
        "pagination": {"total": total, "limit": limit, "hasMore": last is not None, "nextCursor": following},
    }


def _encode(place: Place) -> str:
    return urlsafe_b64encode(json.dumps(place).encode()).decode().rstrip("=")


def place_of(cursor: str) -> Place:
    """Return what a cursor says of the last item seen.

    Raises:
        ApiError: 400, the cursor is not one of ours.
    """
    try:
        place = from_json(urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))  # of bounded depth
    except ValueError:
        place = None
    if not isinstance(place, list) or not place:
        raise bad_request("cursor", "is not one that a list returned")
    return tuple(map(str, place))
