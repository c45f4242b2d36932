"""A span for each request: what was asked by its route, never by its path, and what came of it."""

from typing import Any, cast

from attrs import frozen
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send
from opentelemetry.trace import Span, SpanKind, StatusCode, Tracer

from application.trace import traceparent
from entrypoints.http.middleware.request_middleware import QUIET
from entrypoints.observability.metrics import METHODS
from entrypoints.observability.tracing.context import context_of, traceparent_of
from entrypoints.observability.tracing.serving import spanning

# Not OpenTelemetry's own ASGI instrumentation: it puts the client's address, the query and headers into spans, and a
# query or a header that is not UTF-8 makes it raise, so that a client could turn any answer into 500 (ADR 0020).


@frozen
class TracedRequests:
    """Below `RequestMiddleware`, which has checked the caller's `traceparent`, and logs the one that is set here."""

    app: ASGIApp
    tracer: Tracer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP or scope["path"] in QUIET:
            await self.app(scope, receive, send)
            return
        status = 500

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        asked = scope["method"]
        method = asked if asked in METHODS else "HTTP"
        with spanning(self.tracer, method, SpanKind.SERVER, context=context_of(traceparent.get())) as span:
            traceparent.set(traceparent_of(span))
            try:
                await self.app(scope, receive, noting)
            finally:
                _describe(span, scope, method, status)


def _describe(span: Span, scope: Scope, method: str, status: int) -> None:
    if not span.is_recording():
        return
    notes = cast("dict[str, Any]", scope)
    span.set_attribute("http.request.method", method if method != "HTTP" else "_OTHER")
    span.set_attribute("http.response.status_code", status)
    if route := notes.get("path_template"):
        span.update_name(f"{method} {route}")
        span.set_attribute("http.route", route)
    if outcome := notes.get("outcome"):
        span.set_attribute("auth.outcome", outcome)
    if failure := notes.get("failure"):
        span.set_attribute("auth.cause", failure.label)
    if status >= 500:  # noqa: PLR2004
        span.set_attribute("error.type", str(outcome or status))
        span.set_status(StatusCode.ERROR)
