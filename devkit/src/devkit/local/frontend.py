"""Serves the example page on a separate origin, as in production."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from devkit.servers.ports import LOOPBACK

PORT = 3003

FOLDER = Path(__file__).parents[4] / "examples" / "frontend"
"""In a checkout of this repository; an installed package has no examples."""

_FILES = {"/": ("index.html", "text/html"), "/app.js": ("app.js", "text/javascript")}

Mint = Callable[[str], str]
"""Return a session token of this user; `ValueError` when it is no user id."""


def origins(port: int) -> tuple[str, ...]:
    """Return what browsers call the page's origin, whichever address it was opened by."""
    return f"http://localhost:{port}", f"http://{LOOPBACK}:{port}"


@contextmanager
def serve_frontend(*, port: int, api: str, mint: Mint | None) -> Iterator[None]:
    """Serve the page on loopback, from a thread.

    Args:
        port: where.
        api: the service's URL, for browsers.
        mint: makes the tokens of the button; `None` leaves it out.

    Raises:
        OSError: the port is taken.
    """
    server = _Server(port, api, mint)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, port: int, api: str, mint: Mint | None) -> None:
        self.hosts = {urlsplit(origin).netloc for origin in origins(port)}
        self.api = api
        self.mint = mint
        super().__init__((LOOPBACK, port), _Handler)


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        # Another name for this address is another site's, which would be let in as the same origin (DNS rebinding).
        if self.headers.get("host") not in self.server.hosts:
            self._send(HTTPStatus.FORBIDDEN, "text/plain", b"Open the address that `auth-service dev` prints.\n")
            return
        url = urlsplit(self.path)
        if url.path in _FILES:
            name, kind = _FILES[url.path]
            self._send(HTTPStatus.OK, kind, (FOLDER / name).read_bytes())
        elif url.path == "/config.json":
            config = {"api": self.server.api, "mints_tokens": self.server.mint is not None}
            self._send(HTTPStatus.OK, "application/json", json.dumps(config).encode())
        elif url.path == "/token" and self.server.mint:
            self._send_token(self.server.mint, parse_qs(url.query).get("user", [""])[0])
        else:
            self._send(HTTPStatus.NOT_FOUND, "text/plain", b"There is nothing here.\n")

    do_HEAD = do_GET  # noqa: N815  # the name that the base class looks for

    def _send_token(self, mint: Mint, user: str) -> None:
        try:
            token = mint(user)
        except ValueError as error:
            self._send(HTTPStatus.BAD_REQUEST, "text/plain", f"{error}\n".encode())
        else:
            self._send(HTTPStatus.OK, "text/plain", token.encode())

    def _send(self, status: HTTPStatus, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("content-type", f"{kind}; charset=utf-8")
        self.send_header("content-length", str(len(body)))
        self.send_header("cache-control", "no-store")
        self.send_header("x-content-type-options", "nosniff")
        policy = (
            f"default-src 'none'; script-src 'self'; style-src 'unsafe-inline'; connect-src 'self' {self.server.api}"
        )
        self.send_header(
            "content-security-policy", f"{policy}; img-src data:; frame-ancestors 'none'; form-action 'self'"
        )
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing: `dev` shows what the service says."""
