"""A response whose headers and body are bytes already: sending it is two messages and nothing else."""

from collections.abc import Sequence
from typing import Any, TypeVar

from litestar import Response
from litestar.types import ASGIApp, HTTPResponseStartEvent, Receive, Scope, Send

T = TypeVar("T")

Headers = Sequence[tuple[bytes, bytes]]

OK, NOT_MODIFIED = 200, 304


class PlainResponse(Response[T]):
    """What a handler returns when Litestar has nothing to add; `T` is the documented shape of the body."""

    def __init__(self, body: bytes = b"", headers: Headers = (), *, status: int = OK) -> None:
        self.body = body
        self.raw_headers = headers
        self.status_code = status

    def to_asgi_response(self, *_: Any, **__: Any) -> ASGIApp:  # type: ignore[override]  # all that Litestar might add
        return self

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002  # Litestar names them
        await self.send(send)

    async def send(self, send: Send) -> None:
        headers = [*self.raw_headers]
        if self.status_code != NOT_MODIFIED:  # RFC 9110, section 8.6: the length would be that of the body of a 200
            headers.append((b"content-length", b"%d" % len(self.body)))
        start: HTTPResponseStartEvent = {
            "type": "http.response.start",
            "status": self.status_code or OK,
            "headers": headers,
        }
        await send(start)
        await send({"type": "http.response.body", "body": self.body, "more_body": False})
