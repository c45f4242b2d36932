"""A small HTTP/1.1 server that can also send truncated answers and reset connections.

asyncio and h11 instead of an ASGI server: those keep an application from doing to a connection what tests need done.
"""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import h11
import structlog

from entrypoints.observability.logging import places

if TYPE_CHECKING:
    from devkit.fake_clerk.answer import FakeResponse

log = structlog.get_logger("clerk-stand-in")

LARGEST_BODY = 1024 * 1024
_CHUNK = 64 * 1024
_DROPS = 10
_IDLE_S = 75.0
_RST = struct.pack("ii", 1, 0)
"""SO_LINGER that turns a close into a reset."""

Answers = Callable[[str, str, Mapping[str, str], bytes], "FakeResponse"]
"""Answer a method, a target, headers (names in lower case) and a body."""


class _TooLargeError(Exception):
    pass


@asynccontextmanager
async def listening(answers: Answers, *, host: str, port: int) -> AsyncIterator[int]:
    """Serve and yield the port; on the way out every connection is closed.

    Raises:
        OSError: it cannot listen there.
    """
    connections: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task  # noqa: S101  # asyncio runs this as one
        connections.add(task)
        try:
            with suppress(ConnectionError, TimeoutError, h11.RemoteProtocolError, asyncio.CancelledError):
                await _Connection(reader, writer, answers).run()
        finally:
            connections.discard(task)
            writer.close()

    server = await asyncio.start_server(connected, host, port, backlog=1024)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tuple(connections):
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)
        await server.wait_closed()


class _Connection:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answers: Answers) -> None:
        self._reader = reader
        self._writer = writer
        self._answers = answers
        self._http = h11.Connection(h11.SERVER)
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    async def run(self) -> None:
        while True:
            request = await self._next()
            if not isinstance(request, h11.Request):
                return
            try:
                body = await self._body()
            except _TooLargeError:
                await self._send(
                    h11.Response(status_code=413, headers=[("content-length", "0"), ("connection", "close")])
                )
                return
            whole = await self._answer(request, body)
            if not whole or self._http.our_state is h11.MUST_CLOSE or self._http.their_state is h11.MUST_CLOSE:
                return
            self._http.start_next_cycle()

    async def _next(self) -> Any:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            if self._http.they_are_waiting_for_100_continue:
                await self._send(h11.InformationalResponse(status_code=100, headers=[]))
            self._http.receive_data(await asyncio.wait_for(self._reader.read(_CHUNK), _IDLE_S))
        return event

    async def _body(self) -> bytes:
        body = bytearray()
        while isinstance(event := await self._next(), h11.Data):
            body += event.data
            if len(body) > LARGEST_BODY:
                raise _TooLargeError
        return bytes(body)

    async def _answer(self, request: h11.Request, body: bytes) -> bool:
        """FakeResponse, and tell whether the connection can go on."""
        method, target = request.method.decode(), request.target.decode("latin-1")
        head = method == "HEAD"
        headers = {name.decode(): value.decode("latin-1") for name, value in request.headers}
        try:
            answer = self._answers("GET" if head else method, target, headers, body)
        except Exception as error:  # noqa: BLE001  # a bug of ours is no reason to hang up without a word
            log.error("unhandled_error", error=type(error).__name__, at=places(error))  # noqa: TRY400  # no locals
            await self._send(h11.Response(status_code=500, headers=[("content-length", "0")]), h11.EndOfMessage())
            return True
        if answer.delay_s:
            await asyncio.sleep(answer.delay_s)
        if answer.reset and answer.cut_after == 0:
            self._reset()
            return False
        if answer.stream:
            return await self._send_stream(answer, head=head)
        length = answer.padding + len(answer.body)
        await self._send(
            h11.Response(
                status_code=answer.status,
                headers=[*answer.headers.items(), ("content-length", str(length))],
            )
        )
        if not head:
            if answer.cut_after is not None:
                return await self._send_part(answer)
            await self._send_body(answer)
        await self._send(h11.EndOfMessage())
        return True

    async def _send_stream(self, answer: "FakeResponse", *, head: bool) -> bool:
        assert answer.stream  # noqa: S101  # the caller has looked
        async with aclosing(answer.stream) as stream:
            await self._send(h11.Response(status_code=answer.status, headers=list(answer.headers.items())))
            while not head and (part := await anext(stream, None)) is not None:
                await self._send(h11.Data(data=part))
        await self._send(h11.EndOfMessage())
        return True

    async def _send_body(self, answer: "FakeResponse") -> None:
        blanks = b" " * _CHUNK
        for sent in range(0, answer.padding, _CHUNK):
            await self._send(h11.Data(data=blanks[: answer.padding - sent]))
        drops = _DROPS if answer.body_over_s else 1
        size = -(-len(answer.body) // drops) or 1
        for start in range(0, len(answer.body), size):
            if answer.body_over_s:
                await asyncio.sleep(answer.body_over_s / drops)
            await self._send(h11.Data(data=answer.body[start : start + size]))

    async def _send_part(self, answer: "FakeResponse") -> bool:
        await self._send(h11.Data(data=answer.body[: answer.cut_after]))
        if answer.reset:
            await asyncio.sleep(0.02)  # a reset discards what the other side has not read yet
            self._reset()
        return False

    def _reset(self) -> None:
        self._writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RST)
        self._writer.transport.abort()

    async def _send(self, *events: Any) -> None:
        for event in events:
            self._writer.write(self._http.send(event) or b"")
        await self._writer.drain()
