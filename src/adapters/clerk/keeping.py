"""An HTTP transport that keeps Clerk's answers for us, within a bound, and shows the SDK nothing of them."""

from contextvars import ContextVar

import httpx
from attrs import field, frozen

LARGEST_BYTES = 64 * 1024 * 1024
"""Of an answer: 500 users with as much metadata as Clerk takes are 20 MB."""


@frozen(kw_only=True)
class Received:
    """An answer to its last byte."""

    status: int
    retry_after: str
    body: bytes = field(repr=False)


received: ContextVar[Received | None] = ContextVar("received_from_clerk")
"""What came, for the task that asked."""


@frozen(eq=False)
class Keeping(httpx.AsyncBaseTransport):
    """The SDK would make models of each answer, half of the time that a page of users takes, and refuse many."""

    transport: httpx.AsyncBaseTransport

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await self.transport.handle_async_request(request)
        assert isinstance(response.stream, httpx.AsyncByteStream)  # noqa: S101
        body = bytearray()
        try:
            async for chunk in response.stream:
                body += chunk
                if len(body) > LARGEST_BYTES:
                    raise httpx.ReadError("the answer is too long")
        finally:
            await response.stream.aclose()
        retry_after = response.headers.get("retry-after", "")
        received.set(Received(status=response.status_code, retry_after=retry_after, body=bytes(body)))
        return httpx.Response(response.status_code, content=b"")

    async def aclose(self) -> None:
        await self.transport.aclose()
