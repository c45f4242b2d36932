"""CORS for the authorized parties (Fetch standard, "CORS protocol"): who may carry a token may read the answer."""

from attrs import frozen
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from entrypoints.http.verify import is_forward_auth

_PREFLIGHT = [
    (b"access-control-allow-methods", b"GET, HEAD"),
    (b"access-control-allow-headers", b"authorization, if-none-match, traceparent, x-request-id"),
    (b"access-control-max-age", b"600"),
]
_EXPOSED = (b"access-control-expose-headers", b"etag, x-request-id, retry-after, www-authenticate")


@frozen
class Cors:
    """Litestar's own middleware replaces the `Vary` of the answer and leaves it out when caches need it most."""

    app: ASGIApp
    origins: frozenset[bytes]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Forward auth sees other services' requests, preflights among them: those are theirs to answer.
        if scope["type"] != ScopeType.HTTP or not self.origins or is_forward_auth(scope["path"]):
            await self.app(scope, receive, send)
            return
        origin = _single(scope, b"origin")
        allowed = origin if origin in self.origins else None
        if scope["method"] == "OPTIONS" and origin and _single(scope, b"access-control-request-method"):
            await _preflight(send, allowed)
            return

        async def send_with_cors(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"vary", b"Origin"), *_grant(allowed)]
            await send(message)

        await self.app(scope, receive, send_with_cors)


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


async def _preflight(send: Send, allowed: bytes | None) -> None:
    """Answer 204 to everybody; without the grant the browser refuses, and says so to the developer."""
    headers = [(b"vary", b"Origin"), *_grant(allowed), *(_PREFLIGHT if allowed else [])]
    await send({"type": "http.response.start", "status": 204, "headers": headers})
    await send({"type": "http.response.body", "body": b"", "more_body": False})
