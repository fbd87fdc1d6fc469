"""The way past Ray Serve's wrapper, for the requests that are asked most."""

import asyncio
from typing import ClassVar

from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from serve.app import is_hot


class ShortWay:
    """Hands the requests that are asked most to the application itself, all others to Ray's wrapper around it.

    What the wrapper does for each request (its own counts, a place in its queue, a context) takes as long as the
    route does; the edge counts these requests and refuses them when too many are there.
    """

    app: ClassVar[FastAPI | None] = None
    """This replica's application."""
    loop: ClassVar[asyncio.AbstractEventLoop | None] = None
    """Where its services were opened; RAY_SERVE_THROUGHPUT_OPTIMIZED makes it the loop of Ray's server, too."""

    def __init__(self, wrapped: ASGIApp) -> None:
        self._wrapped = wrapped

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request by either way."""
        if self.app is not None and self.loop is asyncio.get_running_loop() and is_hot(scope):
            await self.app(scope, receive, send)
        else:
            await self._wrapped(scope, receive, send)
