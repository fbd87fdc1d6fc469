"""Lists in pages: an opaque cursor that names the last item seen."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from typing import Annotated, Any, Final

from fastapi import Query

from serve.errors import bad_request
from storage.config import Doc

MAX_PAGE: Final = 100
Limit = Annotated[int, Query(ge=1, le=MAX_PAGE)]
Cursor = Annotated[str | None, Query(max_length=2048)]


def page(docs: Sequence[Doc], limit: int, cursor: str | None) -> dict[str, Any]:
    """Return the page of `docs` behind `cursor`, oldest first.

    Raises:
        ApiError: 400, the cursor is not one of ours.
    """
    ordered = sorted(docs, key=_place)
    after = _decode(cursor) if cursor is not None else None
    rest = [doc for doc in ordered if after is None or _place(doc) > after]
    data = rest[:limit]
    more = len(rest) > limit
    return {
        "data": data,
        "pagination": {
            "total": len(docs),
            "limit": limit,
            "hasMore": more,
            "nextCursor": _encode(_place(data[-1])) if more else None,
        },
    }


def _place(doc: Doc) -> tuple[str, str]:
    return doc["createdAt"], doc["id"]


def _encode(place: tuple[str, str]) -> str:
    return urlsafe_b64encode(json.dumps(place).encode()).decode().rstrip("=")


def _decode(cursor: str) -> tuple[str, str]:
    try:
        created_at, item_id = json.loads(urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        return str(created_at), str(item_id)
    except ValueError:
        raise bad_request("cursor", "is not one that a list returned") from None
