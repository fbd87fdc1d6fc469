"""What all answers share."""

from datetime import datetime
from typing import Annotated, Any, Generic, TypeAlias, TypeVar

import msgspec
from msgspec import Meta

T = TypeVar("T")
JsonObject: TypeAlias = dict[str, Any]
Time = Annotated[datetime, Meta(tz=True)]
Share = Annotated[float, Meta(ge=0, le=1)]
Count = Annotated[int, Meta(ge=0)]
Position = Annotated[int, Meta(ge=0, description="Log position that the answer is true for.")]


class Answer(msgspec.Struct, frozen=True, rename="camel"):
    """An answer or a part of one: camelCase in JSON, snake_case in Python."""


class Item(Answer, frozen=True):
    """What every item of a tenant's configuration has."""

    id: str
    tenant_id: str
    version: Annotated[int, Meta(ge=1, description="Rises with every change.")]
    deleted_at: Time | None
    created_at: Time
    updated_at: Time


class Pagination(Answer, frozen=True):
    """Where a page stands in its list."""

    total: Count
    limit: int
    has_more: bool
    next_cursor: Annotated[str | None, Meta(description="Asks for the next page; null on the last one.")]


class Page(Answer, Generic[T], frozen=True):
    """A page of a list."""

    data: list[T]
    pagination: Pagination
