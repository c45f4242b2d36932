"""CORS for the authorized parties (Fetch standard, "CORS protocol"): who may carry a token may read the answer."""

import re
from collections.abc import Awaitable

from attrs import frozen
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from entrypoints.http.middleware.request_middleware import note_outcome
from entrypoints.http.routes.verify import is_forward_auth

_PREFLIGHT = [(b"access-control-allow-methods", b"GET, HEAD"), (b"access-control-max-age", b"600")]
_ALWAYS = (b"authorization", b"if-none-match", b"traceparent", b"x-request-id")
_ASKED_LIMIT_BYTES = 2048
_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9a-z-]+")
"""A token (RFC 9110, section 5.6.2), in lower case."""
_EXPOSED = (b"access-control-expose-headers", b"etag, x-request-id, retry-after, www-authenticate")


@frozen
class Cors:
    """Litestar's own middleware replaces the `Vary` of the answer and leaves it out when caches need it most."""

    app: ASGIApp
    origins: frozenset[bytes]

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        # Forward auth sees other services' requests, preflights among them: those are theirs to answer.
        if scope["type"] != ScopeType.HTTP or not self.origins or is_forward_auth(scope["path"]):
            return self.app(scope, receive, send)
        origin = _single(scope, b"origin")
        allowed = origin if origin in self.origins else None
        if scope["method"] == "OPTIONS" and origin and _single(scope, b"access-control-request-method"):
            return self._preflight(scope, receive, send, allowed)

        def send_with_cors(message: Message) -> Awaitable[None]:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"vary", b"Origin"), *_grant(allowed)]
            return send(message)

        return self.app(scope, receive, send_with_cors)

    async def _preflight(self, scope: Scope, receive: Receive, send: Send, allowed: bytes | None) -> None:
        """Answer 204 always; without the grant the browser refuses, and tells the developer.

        The application is asked only for the route, which the log names.
        """

        async def send_grant(message: Message) -> None:
            if message["type"] == "http.response.start":
                granted = [*_grant(allowed), *_PREFLIGHT, (b"access-control-allow-headers", _headers(scope))]
                headers = [(b"vary", b"Origin, Access-Control-Request-Headers"), *(granted if allowed else [])]
                message = {"type": "http.response.start", "status": 204, "headers": headers}
            else:
                message = {"type": "http.response.body", "body": b"", "more_body": False}
            await send(message)

        await self.app(scope, receive, send_grant)
        note_outcome(scope, "preflight")


def _headers(scope: Scope) -> bytes:
    """Grant whatever is asked for: tracing and monitoring libraries add headers of their own, more each year.

    Nobody but an authorized party gets this answer, its pages carry the user's token, and no route that a browser may
    ask across origins is steered by another header.
    """
    asked = b",".join(value for name, value in scope["headers"] if name == b"access-control-request-headers")
    if len(asked) > _ASKED_LIMIT_BYTES:
        asked = b""
    names = (name.strip(b" \t") for name in asked.lower().split(b","))
    return b", ".join(dict.fromkeys([*_ALWAYS, *filter(_NAME.fullmatch, names)]))


def _single(scope: Scope, wanted: bytes) -> bytes | None:
    return next((value for name, value in scope["headers"] if name == wanted), None)


def _grant(origin: bytes | None) -> list[tuple[bytes, bytes]]:
    if origin is None:
        return []
    return [
        (b"access-control-allow-origin", origin),
        (b"access-control-allow-credentials", b"true"),
        _EXPOSED,
    ]
