"""Read a request body within bounds of size and time, before anything else looks at it."""

import asyncio
import contextlib

from litestar.types import Receive, Scope

from entrypoints.http.errors import BodyTooLargeError, BodyTooSlowError, ClientDisconnectedError

BODY_LIMIT_BYTES = 1024 * 1024
BODY_TIMEOUT_S = 15.0

DISCARD_LIMIT_BYTES = 16 * 1024 * 1024
DISCARD_TIMEOUT_S = 2.0


async def read_body(
    scope: Scope, receive: Receive, *, limit: int = BODY_LIMIT_BYTES, seconds: float = BODY_TIMEOUT_S
) -> bytes:
    """Return the whole body, byte for byte as received; `limit` is in bytes.

    Raises:
        BodyTooLargeError: it is announced longer than the limit, or turns out to be; no more than that was kept.
        BodyTooSlowError: it was not complete in time, however steadily it trickles in.
        ClientDisconnectedError: the client left.
    """
    if _announces_more_than(limit, scope):
        if not _waits_for_our_word(scope):
            await discard(receive)
        raise BodyTooLargeError
    body = bytearray()
    try:
        async with asyncio.timeout(seconds):
            while True:
                message = await receive()
                if message["type"] != "http.request":
                    raise ClientDisconnectedError
                body += message.get("body", b"")
                more = message.get("more_body", False)
                if len(body) > limit:
                    break
                if not more:
                    return bytes(body)
    except TimeoutError:
        raise BodyTooSlowError from None
    del body
    if more:
        await discard(receive)
    raise BodyTooLargeError


async def discard(receive: Receive) -> None:
    """Let a client finish sending, within bounds: closing on one that still sends makes it lose the answer (RST)."""
    left = DISCARD_LIMIT_BYTES
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(DISCARD_TIMEOUT_S):
            while left > 0:
                message = await receive()
                if message["type"] != "http.request" or not message.get("more_body", False):
                    return
                left -= len(message.get("body", b""))


def _announces_more_than(limit: int, scope: Scope) -> bool:
    return any(
        name == b"content-length" and value.isdigit() and (len(value) > len(str(limit)) or int(value) > limit)
        for name, value in scope["headers"]
    )


def _waits_for_our_word(scope: Scope) -> bool:
    """Whether the client sends nothing before we ask for it (RFC 9110, section 10.1.1)."""
    return any(name == b"expect" and value.lower() == b"100-continue" for name, value in scope["headers"])
