"""An HTTP client that keeps Clerk's answers for us, within a bound, and shows the SDK nothing of them."""

from contextvars import ContextVar
from typing import Any

import httpx
from attrs import field, frozen

LARGEST_BYTES = 64 * 1024 * 1024  # of an answer: 500 users with as much metadata as Clerk takes are 20 MB


@frozen(kw_only=True)
class Received:
    """An answer to its last byte."""

    status: int
    retry_after: str
    body: bytes = field(repr=False)


received: ContextVar[Received | None] = ContextVar("received_from_clerk")  # what came, for the task that asked


class KeepingClient(httpx.AsyncClient):
    """A client that keeps each answer in `received`, and returns an empty one.

    The SDK would make models of each answer, half of the time that a page of users takes, and refuse many. A client
    and not a transport: with a transport of its own httpx would leave out the proxies that the environment names.
    """

    def __init__(self, largest_bytes: int = LARGEST_BYTES, **options: Any) -> None:
        super().__init__(**options)
        self._largest_bytes = largest_bytes

    async def send(self, request: httpx.Request, *, stream: bool = False, **how: Any) -> httpx.Response:  # noqa: ARG002
        response = await super().send(request, stream=True, **how)
        body = bytearray()
        try:
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > self._largest_bytes:
                    raise httpx.ReadError("the answer is too long")
        finally:
            await response.aclose()
        retry_after = response.headers.get("retry-after", "")
        received.set(Received(status=response.status_code, retry_after=retry_after, body=bytes(body)))
        return httpx.Response(response.status_code, content=b"", request=request)
