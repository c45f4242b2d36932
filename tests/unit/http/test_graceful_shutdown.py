import asyncio
import contextlib
import errno
import os
import socket
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from entrypoints.http.middleware.graceful_shutdown import (
    GracefulShutdown,
    GracefulShutdownMiddleware,
    listeners,
    refuse_new_connections,
)


async def answer(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"x", b"y")]})
        await send({"type": "http.response.body", "body": b"ok"})


async def headers_of(app):
    sent = []

    async def send(message):
        sent.append(message)

    await app({"type": "http"}, None, send)
    return sent[0]["headers"]


@pytest.fixture
def listener():
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield listening


async def test_once_leaving_each_answer_ends_its_connection():
    shutdown = GracefulShutdown(0)
    app = GracefulShutdownMiddleware(answer, shutdown)

    assert await headers_of(app) == [(b"x", b"y")]
    shutdown.begun = True
    assert await headers_of(app) == [(b"x", b"y"), (b"connection", b"close")]


def test_a_newcomer_waits_or_the_log_says_why_not_while_whoever_has_connected_is_accepted(listener):
    address = listener.getsockname()
    with socket.create_connection(address) as early, socket.socket() as late:
        with capture_logs() as logs:
            refuse_new_connections(listener)
        late.settimeout(0.3)
        if logs:  # some kernels let root alone attach a filter
            assert [(line["event"], line["reason"]) for line in logs] == [
                ("socket_filter_refused", os.strerror(errno.EPERM))
            ]
            assert os.geteuid() != 0
            late.connect(address)
        else:
            with pytest.raises(TimeoutError):
                late.connect(address)
        accepted, _ = listener.accept()
        with accepted:
            early.sendall(b"hello")

            assert accepted.recv(5) == b"hello"


async def test_a_newcomer_reaches_another_process_on_the_port():
    with contextlib.ExitStack() as stack:
        old, new = (stack.enter_context(socket.socket()) for _ in range(2))
        for each in (old, new):
            each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        old.bind(("127.0.0.1", 0))
        old.listen()
        new.bind(old.getsockname())
        new.listen(64)
        refuse_new_connections(old)
        waiting = [
            asyncio.create_task(asyncio.open_connection(*old.getsockname())) for _ in range(32)
        ]  # the kernel gives about half of them to each
        await asyncio.sleep(0.3)
        old.close()
        async with asyncio.timeout(10):
            connections = await asyncio.gather(*waiting)
        for _, writer in connections:
            writer.close()

    assert len(connections) == 32


def test_only_listening_sockets_are_found(listener):
    before = len([*Path("/proc/self/fd").iterdir()])
    with socket.create_connection(listener.getsockname()), listeners() as found:
        names = [each.getsockname() for each in found]

    assert listener.getsockname() in names
    assert all(each.fileno() == -1 for each in found)
    assert len([*Path("/proc/self/fd").iterdir()]) == before
