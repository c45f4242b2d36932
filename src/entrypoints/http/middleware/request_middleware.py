"""The outermost layer: request id, trace context, HEAD, one log line, metrics, and the answer of last resort."""

import random
import re
import time
from collections.abc import Awaitable
from typing import Any

import structlog
from attrs import frozen
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from application.failure import WEBHOOKS, Failure
from application.trace import traceparent
from entrypoints.http import problems
from entrypoints.http.recent_failures import RecentFailures
from entrypoints.observability import metrics
from entrypoints.observability.logging import places

log = structlog.get_logger("http")

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")

# W3C Trace Context, section 3.2: of a later version the four fields are read as of version 00.
_TRACEPARENT = re.compile(rb"(?!ff)[0-9a-f]{2}-((?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2})(-.*)?")

QUIET = frozenset({"/health", "/health/live", "/health/ready", "/metrics"})
"""Asked every few seconds by machines: their lines would bury the others."""


@frozen
class RequestMiddleware:
    app: ASGIApp
    failures: RecentFailures

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Handle a request; notes for the log line and the metrics are left in its scope."""
        if scope["type"] != ScopeType.HTTP:
            await self.app(scope, receive, send)
            return
        started = time.perf_counter()
        method = scope["method"]
        request_id, trace = _ids(scope["headers"])
        scope["request_id"] = request_id
        if method == "HEAD":
            scope["method"] = "GET"  # every GET route answers it, without the body
        status = 0

        def send_with_id(message: Message) -> Awaitable[None]:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = message["headers"]
                if status in (204, 405):
                    headers = [_with_head(*header) for header in headers]
                message["headers"] = [*headers, (b"x-request-id", request_id.encode())]
            elif method == "HEAD" and message["type"] == "http.response.body":
                message = {"type": "http.response.body", "body": b"", "more_body": message["more_body"]}
            return send(message)

        context = traceparent.set(trace)
        try:
            await self.app(scope, receive, send_with_id)
        except Exception as error:  # noqa: BLE001
            log_failure(scope, error)
            if not status:
                await problems.response_to(error).send(send_with_id)
        finally:
            _report(scope, method, status, time.perf_counter() - started)
            traceparent.reset(context)
            if status == 200 and scope.get("path_template") == metrics.WEBHOOK_ROUTE:  # noqa: PLR2004
                self.failures.succeeded(WEBHOOKS)


def note_outcome(scope: Any, outcome: str) -> None:
    """Note the outcome of the request, for the log and the metrics."""
    scope["outcome"] = outcome


def note(scope: Any, name: str, value: str) -> None:
    """Note a field of this request's log line; it must hold nothing private."""
    scope.setdefault("of_line", {})[name] = value


def note_failure(scope: Any, failure: Failure) -> None:
    """Note what an operator has to correct, for the log line and the metrics."""
    scope["failure"] = failure


def id_of_request(scope: Any) -> str | None:
    request_id: str | None = scope.get("request_id")
    return request_id


def log_failure(scope: Scope, error: BaseException) -> None:
    """Log where a bug is, and not the error's text, which may quote what a client sent."""
    log.error("unhandled_error", request_id=id_of_request(scope), error=type(error).__name__, at=places(error))


def _report(notes: Any, method: str, status: int, seconds: float) -> None:
    route = notes.get("path_template", "unmatched")
    outcome = notes.get("outcome")
    metrics.observe(method=method, route=route, status=status, seconds=seconds, outcome=outcome)
    write = log.debug if route in QUIET else log.info
    more: dict[str, str] = {**notes.get("of_line", {})}
    if outcome:
        more["outcome"] = outcome
    if failure := notes.get("failure"):
        metrics.FAILURES.labels(failure.label).inc()
        # A wrong signature is most often not a failure of this service; a database that is down always is.
        write = log.warning if status >= 500 else log.info  # noqa: PLR2004
        more["cause"] = str(failure)
    write(
        "request",
        request_id=notes["request_id"],
        method=method if method in metrics.METHODS else "other",
        route=route,
        status=status,
        duration_ms=round(seconds * 1000, 2),
        **more,
    )


def _ids(headers: Any) -> tuple[str, str | None]:
    request_id = trace = None
    traces = 0
    for name, value in headers:
        if name == b"x-request-id" and _REQUEST_ID.fullmatch(value):
            request_id = value.decode()
        elif name == b"traceparent":
            traces += 1
            trace = _traceparent(value)
    # No secret, and a system call for each request would take longer. Python seeds it anew after a fork.
    return request_id or f"{random.getrandbits(128):032x}", trace if traces == 1 else None


def _traceparent(value: bytes) -> str | None:
    match = _TRACEPARENT.fullmatch(value)
    if match is None or (match[2] and value.startswith(b"00")):
        return None
    return f"00-{match[1].decode()}"


def _with_head(name: bytes, value: bytes) -> tuple[bytes, bytes]:
    """Name HEAD in an Allow header beside GET: the router behind us does not know that it is allowed."""
    return name, value.replace(b"GET", b"GET, HEAD") if name == b"allow" else value
