"""What a relay answers over HTTP, beside its work: `/health`, `/health/live` and `/metrics`."""

import json
import threading
from collections.abc import Callable, Iterable
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

from prometheus_client import make_wsgi_app
from prometheus_client.exposition import ThreadingWSGIServer


class _Quiet(WSGIRequestHandler):
    def log_message(self, *_: Any) -> None:  # a line for each scrape would bury the others
        pass


def start_status_server(port: int, health: Callable[[], dict[str, Any]], *, host: str = "0.0.0.0") -> int:  # noqa: S104
    """Serve in a thread that ends with the process, and return the port (0 is any), or raise OSError: it is taken."""
    metrics = make_wsgi_app()

    def respond(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        match environ["REQUEST_METHOD"], environ["PATH_INFO"].rstrip("/"):
            case "GET", "/health":
                return _json(start_response, health())
            case "GET", "/health/live":
                return _json(start_response, {"status": "ok", "checks": {}, "causes": {}})
            case "GET", "/metrics":
                return metrics(environ, start_response)  # type: ignore[no-any-return]  # it has no types
            case _, "/health" | "/health/live" | "/metrics":
                start_response("405 Method Not Allowed", [("allow", "GET, HEAD")])
            case _:
                start_response("404 Not Found", [])
        return [b""]

    server = make_server(host, port, _with_head(respond), ThreadingWSGIServer, _Quiet)
    threading.Thread(target=server.serve_forever, daemon=True, name="status-server").start()
    return int(server.server_port)


def _with_head(app: Callable[..., Iterable[bytes]]) -> Callable[..., Iterable[bytes]]:
    """Let a WSGI application, whose answers come in one piece, answer HEAD as GET without the body."""

    def answer(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] != "HEAD":
            return app(environ, start_response)
        started: list[Any] = []
        body = b"".join(app({**environ, "REQUEST_METHOD": "GET"}, lambda *line: started.extend(line)))
        status, headers = started
        start_response(status, [*headers, ("content-length", str(len(body)))])
        return []

    return answer


def _json(start_response: Any, health: dict[str, Any]) -> Iterable[bytes]:
    status = "503 Service Unavailable" if health["status"] == "unavailable" else "200 OK"
    headers = [("content-type", "application/json"), ("cache-control", "no-store")]
    start_response(status, headers)
    return [json.dumps(health).encode()]
