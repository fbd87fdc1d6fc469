"""Outcome types: what a response is called and what it means."""

from typing import Annotated

from fastapi import Query
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from serve.catalog import OUTCOME_TYPE
from serve.routes.catalog import item_routes
from serve.routing import caller_of

router = item_routes(OUTCOME_TYPE, "/outcome-types", "outcome types")


@router.get("", summary="List the outcome types, by ordinal")
async def outcome_types(
    request: Request, *, include_deleted: Annotated[bool, Query(alias="includeDeleted")] = False
) -> Response:
    """Answer a plain array."""
    stored = caller_of(request).tenant.config.of_kind(OUTCOME_TYPE.name).values()
    docs = [item.doc for item in stored if item.live or include_deleted]
    return JSONResponse(sorted(docs, key=lambda doc: (doc["ordinal"], doc["key"])))
