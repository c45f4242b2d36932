"""A TCP proxy on loopback that makes a network's faults: delay, cut, silence, and connections dead on one side."""

import asyncio
import contextlib
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from socket import SO_LINGER, SOL_SOCKET
from typing import Any
from urllib.parse import urlsplit

from attrs import define, field

_RESET = struct.pack("ii", 1, 0)
"""Linger for no time: closing sends RST, as a crashed machine or a firewall does."""


@define(eq=False)
class _Link:
    """One client's connection, and ours to the server on its behalf."""

    writers: list[asyncio.StreamWriter]
    silent: bool = False
    """What comes is thrown away, and neither side is told of the other's end: a half-open connection."""


@define(eq=False)
class Proxy:
    """Forwards to `target`; it runs in a thread of its own, so a test that blocks does not stop the traffic."""

    target: tuple[str, int]
    delay: float = 0.0
    """Seconds that each piece of data is held up."""
    connections: int = 0
    """How many were ever accepted."""
    tap: Callable[[int, bytes], None] | None = None
    """Told what clients send: the number of the connection, and the bytes."""
    port: int = 0
    _links: set[_Link] = field(factory=set)
    _swallow_new: bool = False
    _loop: asyncio.AbstractEventLoop = field(factory=asyncio.new_event_loop)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def cut(self) -> None:
        """Reset every connection; new ones are served."""
        self._in_thread(self._cut)

    def half_open(self) -> None:
        """Forget every connection without a word to either side; new ones are served."""
        self._in_thread(self._silence)

    def swallow(self, on: bool = True) -> None:  # noqa: FBT001, FBT002
        """While on: all connections, new ones too, are accepted and never answered."""
        self._swallow_new = on
        if on:
            self._in_thread(self._silence)

    def _in_thread(self, act: Callable[[], None]) -> None:
        done = threading.Event()

        def run() -> None:
            act()
            done.set()

        self._loop.call_soon_threadsafe(run)
        if not done.wait(60):
            raise TimeoutError("the proxy's thread does not answer")

    def _cut(self) -> None:
        for link in self._links:
            for writer in link.writers:
                with contextlib.suppress(OSError):
                    writer.get_extra_info("socket").setsockopt(SOL_SOCKET, SO_LINGER, _RESET)
                writer.transport.abort()

    def _silence(self) -> None:
        for link in self._links:
            link.silent = True

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        number = self.connections
        link = _Link([writer], silent=self._swallow_new)
        self._links.add(link)
        try:
            if link.silent:
                await _drain(reader)
                return
            try:
                back_reader, back_writer = await asyncio.open_connection(*self.target)
            except OSError:
                return
            link.writers.append(back_writer)
            await asyncio.gather(
                self._pump(link, reader, back_writer, number), self._pump(link, back_reader, writer, None)
            )
        finally:
            self._links.discard(link)
            for each in link.writers:
                each.transport.abort()

    async def _pump(
        self, link: _Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int | None
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                if self.delay:
                    await asyncio.sleep(self.delay)
                if link.silent:
                    continue
                if self.tap and number is not None:
                    self.tap(number, data)
                writer.write(data)
                await writer.drain()
        if not link.silent:
            for each in link.writers:
                each.close()

    async def _listen(self) -> asyncio.Server:
        server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = server.sockets[0].getsockname()[1]
        return server

    async def _close(self, server: asyncio.Server) -> None:
        server.close()
        self._cut()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _drain(reader: asyncio.StreamReader) -> None:
    with contextlib.suppress(OSError):
        while await reader.read(65536):
            pass


@contextmanager
def proxy(host: str, port: int, **options: Any) -> Iterator[Proxy]:
    """Run a proxy to this server, on a free port that stays the same."""
    # Not "localhost": that may be ::1 first, where nobody listens.
    made = Proxy(("127.0.0.1" if host == "localhost" else host, port), **options)
    thread = threading.Thread(target=made._loop.run_forever, daemon=True)
    thread.start()
    server = asyncio.run_coroutine_threadsafe(made._listen(), made._loop).result(10)
    try:
        yield made
    finally:
        asyncio.run_coroutine_threadsafe(made._close(server), made._loop).result(10)
        made._loop.call_soon_threadsafe(made._loop.stop)
        thread.join(10)
        made._loop.close()


@contextmanager
def to_url(url: str) -> Iterator[tuple[Proxy, str]]:
    """Run a proxy to the server of this URL; yield it, and the URL through it."""
    address = urlsplit(url)
    assert address.hostname
    assert address.port
    with proxy(address.hostname, address.port) as between:
        yield between, url.replace(f"{address.hostname}:{address.port}", between.address)
