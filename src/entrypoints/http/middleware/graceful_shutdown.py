"""From SIGTERM to the server's own stop, so that no request is cut off.

granian's stop closes its listener and every idle connection at once. What the kernel had accepted for us by then, or a
client was just sending, gets no answer: measured at two or three requests a stop, under a load of new connections.
"""

import asyncio
import ctypes
import os
import signal
import socket
import struct
import sys
import threading
from collections.abc import Awaitable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import structlog
from attrs import define, field, frozen
from litestar.types import ASGIApp, Message, Receive, Scope, Send

log = structlog.get_logger("http")

SETTLE_S = 0.3  # from the last new connection to the stop: for the request of a client that was just connecting

_DESCRIPTORS = Path("/proc/self/fd")
_SO_ATTACH_FILTER = 26
_NO_SYN = b"".join(
    struct.pack("HBBI", *instruction)
    for instruction in (
        (0x30, 0, 0, 13),  # load the byte of TCP's flags
        (0x54, 0, 0, 0x12),  # keep SYN and ACK
        (0x15, 0, 1, 0x02),  # SYN alone?
        (0x06, 0, 0, 0),  # then drop it
        (0x06, 0, 0, 0xFFFFFFFF),  # else let it through: handshakes under way are finished
    )
)
"""Classic BPF, for a listening socket (linux/filter.h)."""


@define
class GracefulShutdown:
    """The stop of this process: whether it has begun."""

    delay_s: float  # how long to go on serving everybody after SIGTERM, until balancers have noticed
    begun: bool = field(default=False, init=False)
    _leaving: "asyncio.Task[None] | None" = field(default=None, init=False)
    _loop: asyncio.AbstractEventLoop | None = field(default=None, init=False)

    def await_sigterm(self) -> None:
        """From now on SIGTERM ends this process, at once until `started`; SIGINT is the server's own.

        In a thread, and held back in those that begin later: uvloop loses a signal that comes while it does not run,
        and granian runs it once for the start and again for serving.
        """
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        threading.Thread(target=self._wait, daemon=True, name="await-sigterm").start()

    def started(self) -> None:
        """Requests are served by the running loop: from now on they are finished first."""
        self._loop = asyncio.get_running_loop()

    def _wait(self) -> None:
        signal.sigwait({signal.SIGTERM})
        if self._loop is None:
            os._exit(128 + signal.SIGTERM)  # what the start waits for may not come
        with suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._begin)

    def _begin(self) -> None:
        self.begun = True
        self._leaving = asyncio.create_task(self._leave())

    async def _leave(self) -> None:
        log.info("leaving", new_connections_for_s=self.delay_s)
        await asyncio.sleep(self.delay_s)
        with listeners() as found:
            for listener in found:
                refuse_new_connections(listener)
        await asyncio.sleep(SETTLE_S)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        os.kill(os.getpid(), signal.SIGINT)


@frozen
class GracefulShutdownMiddleware:
    """Around the application: once the stop has begun, each answer ends its connection.

    The client makes its next request on a connection of its own (RFC 9112, section 9.6), and so to another process.
    """

    app: ASGIApp
    shutdown: GracefulShutdown

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        return self.app(scope, receive, _closing(send) if self.shutdown.begun else send)


def _closing(send: Send) -> Send:
    async def send_and_close(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], (b"connection", b"close")]
        await send(message)

    return send_and_close


def refuse_new_connections(listener: socket.socket) -> None:
    """Let no new connection begin; what has begun is finished and accepted.

    A new SYN is dropped, not refused: it is sent again a second later, and finds another process on the port, or the
    port closed. Closing the listener instead would reset connections that only the kernel has accepted.
    """
    if sys.platform != "linux":
        return
    program = ctypes.create_string_buffer(_NO_SYN, len(_NO_SYN))
    try:
        listener.setsockopt(
            socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HP", len(_NO_SYN) // 8, ctypes.addressof(program))
        )
    except OSError as error:  # gVisor, or a kernel that lets root alone attach one: a new connection may be reset
        log.warning("socket_filter_refused", reason=error.strerror)


@contextmanager
def listeners() -> Iterator[list[socket.socket]]:
    """Yield this process's listening sockets: granian opens its own and does not expose them."""
    with ExitStack() as stack:
        found = []
        for descriptor in _DESCRIPTORS.iterdir() if sys.platform == "linux" else ():
            try:
                if not descriptor.is_socket():
                    continue
                candidate = stack.enter_context(socket.socket(fileno=os.dup(int(descriptor.name))))
                if candidate.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                    found.append(candidate)
            except OSError:  # gone since
                continue
        yield found
