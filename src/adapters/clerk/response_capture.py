"""An HTTP client that keeps Clerk's answers, within a limit, and returns empty ones to the SDK."""

from contextvars import ContextVar
from typing import Annotated, Any

import httpx
import msgspec
from attrs import field, frozen

from adapters.clerk.nesting import decoded

LARGEST_BYTES = 64 * 1024 * 1024  # of an answer: 500 users with the most metadata that Clerk allows are 20 MB


_LONGEST_MESSAGE = 200


class _Error(msgspec.Struct):
    code: Annotated[str, msgspec.Meta(max_length=100)]
    message: str = ""


class _Errors(msgspec.Struct):
    errors: list[_Error]


@frozen(kw_only=True)
class ClerkResponse:
    """An answer to its last byte."""

    status: int
    retry_after: str = ""
    body: bytes = field(repr=False)
    unclear: bool = False  # an earlier attempt got no answer, so it may have been executed

    @property
    def codes(self) -> tuple[str, ...]:
        """Clerk's error codes; none if the body is not Clerk's."""
        return tuple(error.code for error in self._errors)

    @property
    def message(self) -> str:
        return "; ".join(error.message for error in self._errors)[:_LONGEST_MESSAGE]

    @property
    def _errors(self) -> list[_Error]:
        try:
            errors: list[_Error] = decoded(self.body, _Errors).errors
        except (msgspec.DecodeError, UnicodeDecodeError):
            return []
        return errors


received: ContextVar[ClerkResponse | None] = ContextVar("received_from_clerk")  # the answer, in the context of the task


class KeepingClient(httpx.AsyncClient):
    """A client that keeps each answer in `received`, and returns an empty one.

    The SDK would parse each answer into models, which is half of the time of a page of users, and refuse many. Not a
    transport: with a custom transport httpx ignores the environment's proxies.
    """

    async def send(self, request: httpx.Request, *, stream: bool = False, **how: Any) -> httpx.Response:  # noqa: ARG002
        response = await super().send(request, stream=True, **how)
        body = bytearray()
        try:
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > LARGEST_BYTES:
                    raise httpx.ReadError("the answer is too long")
        finally:
            await response.aclose()
        retry_after = response.headers.get("retry-after", "")
        received.set(ClerkResponse(status=response.status_code, retry_after=retry_after, body=bytes(body)))
        return httpx.Response(response.status_code, content=b"", request=request)
