"""A real HTTP server on loopback that answers POST as a test says."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

from sdktest.jwks_server import Answer, body

Form = dict[str, list[str]]


class Endpoint:
    """Notes headers and form of each request, and answers it with `answer`."""

    origin = ""

    def __init__(self) -> None:
        self.requests: list[tuple[dict[str, str], Form]] = []
        self.answer: Callable[[dict[str, str], Form], Answer] = lambda *_: body(
            b'{"access_token": "t", "expires_in": 60}'
        )


@contextmanager
def token_endpoint() -> Iterator[Endpoint]:
    endpoint = Endpoint()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            endpoint.requests.append((dict(self.headers.items()), form))
            endpoint.answer(*endpoint.requests[-1])(self)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    endpoint.origin = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield endpoint
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
