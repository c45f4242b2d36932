"""Signed webhooks from several connections at once, each answer accounted for: who was answered, refused or cut off."""

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
from attrs import define, field

from devkit.fake_clerk.signing import sign_webhook
from support.web import SECRET, created

ANSWER_S = 30.0
_users = itertools.count(1)


async def until_ready(client: httpx.AsyncClient) -> None:
    """Wait until a service that was just started is ready."""
    async with asyncio.timeout(60):
        while True:
            with contextlib.suppress(httpx.HTTPError):
                if (await client.get("/health/ready")).is_success:
                    return
            await asyncio.sleep(0.1)


@define(eq=False)
class Load:
    """A crowd of clients that send one webhook after the other, each of a user of its own.

    Args:
        keep_alive: each client sends on one connection until the server closes it, or on a new one each time.
    """

    url: str
    secret: str = SECRET
    keep_alive: bool = True
    acknowledged: list[str] = field(factory=list, init=False)
    """Users whose webhook was answered with 200."""
    not_acknowledged: list[str] = field(factory=list, init=False)
    """The other answers: status and body."""
    refused: int = field(default=0, init=False)
    """Connections that were not had: no request was sent, so none was lost."""
    cut: list[str] = field(factory=list, init=False)
    """What happened to requests that were sent, wholly or in part, and got no whole answer."""
    _stopping: bool = field(default=False, init=False)

    @asynccontextmanager
    async def running(self, clients: int) -> AsyncIterator[None]:
        """Send from so many connections until the block ends and all that was begun is answered."""
        tasks = [asyncio.create_task(self._client()) for _ in range(clients)]
        try:
            yield
        finally:
            self._stopping = True
            await asyncio.gather(*tasks)

    async def answers(self, more: int) -> None:
        """Wait for so many more answers."""
        wanted = self._answered() + more
        async with asyncio.timeout(60):
            while self._answered() < wanted:
                await asyncio.sleep(0.01)

    def _answered(self) -> int:
        return len(self.acknowledged) + len(self.not_acknowledged)

    async def _client(self) -> None:
        parts = urlsplit(self.url)
        while not self._stopping:
            try:
                async with asyncio.timeout(ANSWER_S):
                    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
            except OSError:
                self.refused += 1
                await asyncio.sleep(0.02)
                continue
            try:
                usable = True
                while usable and not self._stopping:
                    async with asyncio.timeout(ANSWER_S):  # of each answer: a connection may live for longer
                        usable = await self._ask(reader, writer)
            except (OSError, asyncio.IncompleteReadError) as error:
                self.cut.append(f"{type(error).__name__}: {error}")
            finally:
                writer.close()

    async def _ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Send one webhook, and tell whether the connection can be used again."""
        user = f"user_load{next(_users)}x{uuid4().hex[:12]}"
        body = created(user)
        headers = sign_webhook(self.secret, f"msg_{uuid4().hex}", int(time.time()), body)
        headers |= {"host": "load", "content-type": "application/json", "content-length": str(len(body))}
        if not self.keep_alive:
            headers["connection"] = "close"
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        writer.write(f"POST /webhooks/clerk HTTP/1.1\r\n{head}\r\n".encode() + body)
        await writer.drain()
        first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower().split("\r\n")
        fields = dict(line.split(": ", 1) for line in lines if line)
        content = await reader.readexactly(int(fields["content-length"]))
        status = int(first.split(" ")[1])
        if status == 200:
            self.acknowledged.append(user)
        else:
            self.not_acknowledged.append(f"{status}: {content.decode()}")
        return self.keep_alive and fields.get("connection") != "close"
