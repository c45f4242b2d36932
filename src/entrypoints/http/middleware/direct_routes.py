"""The routes that most requests are for, called without Litestar: its part of them costs more than theirs.

Litestar has the same handlers, for the OpenAPI document and for what does not name a route to the letter: another
method, a trailing slash, a Host that is not one.
"""

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from inspect import signature
from typing import Any, TypeAlias

from attrs import frozen
from litestar.di import Provide
from litestar.enums import ScopeType
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp, HTTPScope, Receive, Scope, Send

from entrypoints.http.middleware.head_bounds import HeadBounds, excess
from entrypoints.http.plain_response import PlainResponse

_HOST = re.compile(rb"[A-Za-z0-9.:\[\]-]*")

Routes: TypeAlias = Mapping[tuple[str, str], tuple[Callable[..., Any], Callable[[], Any]]]
"""By method and path, a handler of two parameters, and what gives it the second."""


@frozen
class Received:
    """What these handlers use of Litestar's `Request`."""

    scope: HTTPScope
    receive: Receive


def routes_of(handlers: Iterable[HTTPRouteHandler], dependencies: Mapping[str, Provide]) -> Routes:
    """Return their routes, or raise ValueError: one has not two parameters, the request and one that is injected."""
    routes = {}
    for handler in handlers:
        _, injected = signature(handler.fn).parameters
        for method in handler.http_methods:
            for path in handler.paths:
                routes[str(method), path] = (handler.fn, dependencies[injected].dependency)
    return routes


@frozen
class DirectRoutes:
    """Around Litestar."""

    app: ASGIApp
    routes: Routes
    bounds: HeadBounds  # Litestar's `before_request`
    answer: Callable[[HTTPScope, Exception], PlainResponse[Any]]  # to an error

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] == ScopeType.HTTP:
            route = self.routes.get((scope["method"], scope["path"]))
            if route is not None and _has_plain_host(scope["headers"]):
                return self._handle(scope, receive, send, *route)
        return self.app(scope, receive, send)

    async def _handle(
        self,
        scope: HTTPScope,
        receive: Receive,
        send: Send,
        handle: Callable[..., Any],
        dependency: Callable[[], Any],
    ) -> None:
        scope["path_template"] = scope["path"]
        request = Received(scope, receive)
        try:
            if excess(scope):
                await self.bounds(request)
            response: PlainResponse[Any] = await handle(request, dependency())
        except Exception as error:  # noqa: BLE001  # whatever it is
            response = self.answer(scope, error)
        await response.send(send)


def _has_plain_host(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    return all(map(_HOST.fullmatch, [value for name, value in headers if name == b"host"]))
