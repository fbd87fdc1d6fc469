"""The outermost layer: request ids, one error shape, figures. Every exception becomes an answer here.

It is also the short way in for the routes that are asked most: what FastAPI does in front of a route costs as much
as the route itself, and none of it is of use to them.
"""

import re
import time
from functools import cached_property
from typing import TYPE_CHECKING, Final

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from learners.errors import FeatureError, LearnersUnavailable
from serve.errors import CODES, ApiError, from_validation, unavailable
from serve.gate import BULK_BODY_BYTES
from serve.ids import unique_id
from serve.places import Places
from storage.errors import ArchiveError, Overloaded, StorageUnavailable
from storage.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from typing import TypeAlias

    from fastapi import FastAPI
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    Endpoint: TypeAlias = Callable[[Request], Awaitable[Response]]

PLACE_BYTES: Final = 512
"""Of a body; about what one outcome takes."""
REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,128}")
_log = get_logger()


class Edge:
    """Gives each request an id, sends it back as X-Request-Id, counts and times the answer.

    Args:
        app: the application.
        long_way: FastAPI's own way through it, for what has no short one.
        hot: POST routes, by path, that are called directly.
        most: calls of these that may be under way, a large one counting as several; tenants share them as
            `serve.places` does, more are refused.
    """

    def __init__(self, app: "FastAPI", long_way: "ASGIApp", hot: "Mapping[str, Endpoint]", most: int) -> None:
        self._app = app
        self._long_way = long_way
        self._hot = hot
        self._places = Places(most)
        self._largest = most // 8

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Answer one request; other protocols pass through."""
        if scope["type"] != "http":
            await self._long_way(scope, receive, send)
            return
        given = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
        sane = REQUEST_ID.fullmatch(given.decode("latin-1"))
        request_id = sane[0] if sane else unique_id("req_")
        scope.setdefault("state", {})["request_id"] = request_id
        started = time.perf_counter()
        status = 500

        async def stamped(message: "Message") -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [
                    *message.get("headers", ()),
                    *scope["state"].get("headers", ()),
                    (b"x-request-id", request_id.encode()),
                ]
            await send(message)

        endpoint = self._hot.get(scope["path"]) if scope["method"] == "POST" else None
        try:
            if endpoint is None:
                await self._long_way(scope, receive, stamped)
            else:
                scope["app"] = self._app
                await self._directly(endpoint, scope, receive, stamped)
        finally:
            services = getattr(self._app.state, "services", None)
            if services is not None:
                route = scope["path"] if endpoint is not None else _route_of(scope)
                services.metrics.request(route, status, time.perf_counter() - started)

    async def _directly(self, endpoint: "Endpoint", scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Answer a request by its endpoint; an exception is answered as it is behind FastAPI."""
        request = _HotRequest(scope, receive)
        tenant, size = request.headers.get("x-tenant-id"), self._size(request)
        if self._places.take(tenant, size):
            try:
                response = await endpoint(request)
            except Exception as error:  # noqa: BLE001 - the edge: whatever it is, it becomes an answer
                response = await _answer(request, error)
            finally:
                self._places.give_back(tenant, size)
        else:
            response = await _answer(request, unavailable())
        await response(scope, receive, send)

    def _size(self, request: Request) -> int:
        """Return how many places a request takes: many outcomes are more work, which is not begun in vain."""
        told = request.headers.get("content-length", "")
        length = int(told) if told.isdecimal() else BULK_BODY_BYTES
        return 1 + min(length // PLACE_BYTES, self._largest)


class _HotRequest(Request):
    """A request whose headers are a plain mapping, names in small letters; of several of one name the first counts.

    Starlette searches the whole list for each name that is asked for.
    """

    @cached_property
    def headers(self) -> "Mapping[str, str]":  # type: ignore[override]  # all that is asked of it
        pairs = reversed(self.scope["headers"])
        return {name.decode("latin-1"): value.decode("latin-1") for name, value in pairs}


AWAY: Final = (StorageUnavailable, ArchiveError, Overloaded, LearnersUnavailable)
"""What the caller shall come back after."""
EXPECTED: Final = (ApiError, HTTPException, RequestValidationError, FeatureError, ClientDisconnect, *AWAY)


def install(app: "FastAPI") -> None:
    """Make every exception of `app` an answer in the one error shape."""
    for kind in (*EXPECTED, Exception):  # what Exception alone covers is raised again, for the log
        app.add_exception_handler(kind, _answer)


async def _answer(request: Request, error: Exception) -> Response:
    request_id = request.scope["state"]["request_id"]
    known = to_api_error(error)
    if known.status == 500:
        _log.error("unexpected error", request_id=request_id, path=request.url.path, exc_info=error)
    return JSONResponse(known.body(request_id), known.status, headers=dict(known.headers))


def to_api_error(error: Exception) -> ApiError:
    """Return what the caller is told of `error`: the one map from exceptions to answers."""
    match error:
        case ApiError():
            return error
        case _ if isinstance(error, AWAY):
            return unavailable()
        case FeatureError() | ClientDisconnect():  # nobody reads the latter's answer, but it is no fault of ours
            return ApiError(400, str(error))
        case RequestValidationError():
            return from_validation(error.errors())
        case HTTPException():
            return _from_http(error)
        case _:
            return ApiError(500, "Something went wrong on our side; the request id finds it in the log")


def _from_http(error: HTTPException) -> ApiError:
    message = {404: "There is nothing at this path", 405: "The path does not answer this method"}
    status = error.status_code if error.status_code in CODES else 400
    return ApiError(status, message.get(status, str(error.detail)), headers=error.headers or {})


def _route_of(scope: "Scope") -> str:
    """Return the template of the path that was matched; never what a client made up."""
    matched = scope.get("route") or scope.get("endpoint")
    if matched is None:
        return "unmatched"
    own: str | None = getattr(matched, "path_format", None)
    if own is None:  # a route without parameters
        return str(scope["path"])
    params = scope["path_params"]
    end = own.format(**params)  # a router that was included knows nothing of the prefix
    return str(scope["path"]).removesuffix(end) + own if str(scope["path"]).endswith(end) else own
