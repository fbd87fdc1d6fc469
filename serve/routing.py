"""Routes that stand behind the gate: what a FastAPI route does, after the checks of `serve.gate`."""

import re
from collections.abc import Callable, Coroutine
from typing import Any, ClassVar, cast
from urllib.parse import unquote

from fastapi.routing import APIRoute
from starlette.convertors import PathConvertor, register_url_convertor
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import Scope as AsgiScope

from serve.gate import BODY_BYTES, Caller, read_body
from serve.jsonbody import parse_json
from serve.services import Services
from storage.apikeys import Scope
from storage.audit import Author

WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
JSON_ONLY = ("application/json",)
GRANTED = "rewardloop.granted"
"""Where the console's mirror says, in an ASGI scope, what it has let somebody in for. No client gets there."""
ESCAPED_SLASH = "\udc2f"
"""Stands for %2F while routes are tried; no decoded path contains it, for it is no character."""


class AnyId(PathConvertor):
    """An id in a path: any text. `path` would end at a line break, and leave one out at the end."""

    regex = "(?s:.*)"

    def convert(self, value: str) -> str:
        """Return the id."""
        return value.replace(ESCAPED_SLASH, "/")


register_url_convertor("id", AnyId())


class GatedRequest(Request):
    """A request that was let in; its body is parsed already."""

    parsed: Any = None

    async def json(self) -> Any:
        """Return the parsed body."""
        return self.parsed


class GatedRoute(APIRoute):
    """A route that asks for a scope: `read_scope` for GET, `write_scope` for the rest."""

    read_scope: ClassVar[Scope] = "read"
    write_scope: ClassVar[Scope] = "write"

    def matches(self, scope: AsgiScope) -> tuple[Match, AsgiScope]:
        """Say whether the route is meant; a slash that is escaped belongs to an id, which `a/values` may be."""
        parts = re.split(b"%2[fF]", scope.get("raw_path") or b"")
        if len(parts) > 1:
            scope = {**scope, "path": ESCAPED_SLASH.join(unquote(part.decode("ascii")) for part in parts)}
        return super().matches(scope)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler with the gate in front of it."""
        handle = super().get_route_handler()
        takes_body = self.body_field is not None
        path = self.path_format

        async def gated(request: Request) -> Response:
            services = services_of(request)
            scope = self.read_scope if request.method == "GET" else self.write_scope
            granted, window = request.scope.get(GRANTED), f"{request.method} {path}"
            if granted is None:
                caller = await services.gate.identify(request.headers, scope)
            else:  # a window of its own: who watches in the dashboard takes no place of the tenant's programs
                caller, window = await services.gate.vouched(request.headers, scope, granted), f"console {window}"
            raw = await read_body(request, BODY_BYTES, JSON_ONLY) if takes_body else b""
            caller, headers = await services.gate.admit(caller, window, "default")
            tell_limit(request, headers)
            request.state.caller = caller
            inner = GatedRequest(request.scope, request.receive)
            inner._body = raw  # noqa: SLF001 - where Starlette keeps a body that was read
            inner.parsed = parse_json(raw) if takes_body else None
            return await handle(inner)

        return gated


class AdminRoute(GatedRoute):
    """A route for a tenant's administrators."""

    read_scope = "admin"
    write_scope = "admin"


class OperatorRoute(GatedRoute):
    """A route for the operator of the installation."""

    read_scope = "operator"
    write_scope = "operator"


class RecommendRoute(GatedRoute):
    """A route for those who make recommendations."""

    write_scope = "recommend"


class ReadRoute(GatedRoute):
    """A route that takes a body and changes nothing."""

    write_scope = "read"


def services_of(request: Request) -> Services:
    """Return what the app works with."""
    return cast("Services", request.app.state.services)


def caller_of(request: Request) -> Caller:
    """Return who was let in."""
    return cast("Caller", request.state.caller)


def author_of(request: Request) -> Author:
    """Return who writes, as the audit log tells it. Nobody writes without a key."""
    key = caller_of(request).key
    if key is None:
        raise TypeError("a dashboard's login writes nothing")
    return Author(key.id, request.scope["state"]["request_id"])


def tell_limit(request: Request, headers: dict[str, str]) -> None:
    """Have the answer carry these headers, whatever it is."""
    request.scope["state"]["headers"] = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
