"""A small Clerk that answers whatever a test wants, also what no server should send."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from attrs import define, field

from adapters.clerk.backend_api import BackendApi, RetryBudget
from adapters.clerk.identities import INTERACTIVE, ClerkIdentities
from application.errors import ClerkUnavailableError
from domain.user import UserId
from support.clerk_payloads import NOW_MS, encoded

USER = UserId("user_1")
READ_AT_MS = NOW_MS + 60_000
KEY = "sk_test_CANARY"

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def http(
    status: int,
    body: bytes | dict[str, Any] | None = None,
    *,
    content_type: str = "application/json",
    headers: str = "",
) -> Answer:
    """Answer one request; `None` is Clerk's own body for an error."""
    if body is None:
        code = "resource_not_found" if status == 404 else "c"
        body = {"errors": [{"message": "m", "long_message": "m", "code": code}], "clerk_trace_id": "t"}
    content = body if isinstance(body, bytes) else encoded(body)

    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = f"HTTP/1.1 {status} X\r\ncontent-type: {content_type}\r\ncontent-length: {len(content)}\r\n{headers}\r\n"
        writer.write(head.encode() + content)
        await writer.drain()

    return answer


async def reset(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


async def cut_short(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n{"id":')
    await writer.drain()
    writer.close()


async def no_http(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"SSH-2.0-OpenSSH_9.6\r\n")
    writer.close()


async def silence(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    await reader.read()  # until the client gives up


async def dribble(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Each byte comes in time, the whole never does."""
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100000\r\n\r\n")
    with suppress(ConnectionError):
        while not writer.is_closing():
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.01)


def identities(
    url: str,
    effort: RetryBudget = INTERACTIVE,
    *,
    now_ms: Callable[[], int] = lambda: READ_AT_MS,
) -> ClerkIdentities:
    return ClerkIdentities(BackendApi(KEY, url), effort, now_ms=now_ms)


@define
class Clerk:
    """A small Backend API: it plays `answers` one after the other; the last one stays."""

    answers: list[Answer]
    url: str = ""
    requests: list[tuple[str, dict[str, str]]] = field(factory=list)

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while not writer.is_closing():
                request_line, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")[:-2]
                headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
                self.requests.append((request_line, headers))
                answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
                await answer(reader, writer)
        writer.close()


@asynccontextmanager
async def clerk(*answers: Answer, effort: RetryBudget = INTERACTIVE) -> AsyncIterator[tuple[Clerk, ClerkIdentities]]:
    fake = Clerk(list(answers))
    server = await asyncio.start_server(fake, "127.0.0.1", 0)
    fake.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    adapter = identities(fake.url, effort)
    try:
        yield fake, adapter
    finally:
        await adapter.aclose()
        server.close()
        await server.wait_closed()


async def failure(*answers: Answer, effort: RetryBudget = INTERACTIVE) -> tuple[str, int]:
    """Return what the error says, and how often Clerk was asked."""
    async with clerk(*answers, effort=effort) as (fake, adapter):
        with pytest.raises(ClerkUnavailableError) as failed:
            await adapter.get(USER)
    assert KEY not in str(failed.value)
    return str(failed.value), len(fake.requests)
