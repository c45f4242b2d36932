"""A small HTTP server in this process, for the other sides of the service: Clerk, a key server, an upstream."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from attrs import define, field, frozen


@frozen
class Request:
    method: str
    path: str
    """With the query."""
    headers: list[tuple[str, str]]
    """As received: names in their own case, duplicates included."""
    body: bytes


@frozen
class Answer:
    status: int = 200
    document: Any = None
    """Sent as JSON."""
    after_s: float = 0.0
    clock_off_s: float = 0.0
    """How far the server's clock is ahead, as its `Date` tells."""


Answers = Callable[[Request], Answer]


@define
class HttpServer:
    """Answers what `answers` says, which a test may replace at any time."""

    port: int
    answers: Answers
    requests: list[Request] = field(factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def http_server(answers: Answers, *, port: int = 0) -> Iterator[HttpServer]:
    """Run it; on the way out it is gone, with every connection and whatever still waits for an answer."""
    listener = _Listener(("127.0.0.1", port), _Handler)
    listener.server = HttpServer(listener.server_port, answers)
    thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield listener.server
    finally:
        listener.closing.set()
        listener.shutdown()
        listener.server_close()
        for connection in listener.connections:
            with suppress(OSError):  # closed already
                connection.shutdown(socket.SHUT_RDWR)
        thread.join()


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256
    server: HttpServer

    def __init__(self, *args: Any) -> None:
        self.closing = threading.Event()
        self.connections: list[socket.socket] = []
        super().__init__(*args)

    def process_request(self, request: Any, client_address: Any) -> None:
        self.connections.append(request)
        super().process_request(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Listener

    def __getattr__(self, name: str) -> Any:
        if name.startswith("do_"):  # any method
            return self._answer
        raise AttributeError(name)

    def _answer(self) -> None:
        request = Request(self.command, self.path, self.headers.items(), self._body())
        self.server.server.requests.append(request)
        answer = self.server.server.answers(request)
        self.server.closing.wait(answer.after_s)
        body = json.dumps(answer.document).encode()
        self.send_response_only(answer.status)
        self.send_header("date", self.date_time_string(int(time.time() + answer.clock_off_s)))
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _body(self) -> bytes:
        if self.headers.get("transfer-encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("content-length", 0)))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def handle(self) -> None:
        with suppress(ConnectionError):  # a client that did not wait
            super().handle()

    def log_message(self, *_: Any) -> None:
        pass
