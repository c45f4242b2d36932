"""What a relay answers over HTTP, beside its work: `/health`, `/health/live` and `/metrics`."""

import json
import threading
from collections.abc import Callable, Iterable
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

from prometheus_client import make_wsgi_app
from prometheus_client.exposition import ThreadingWSGIServer

from entrypoints.relay.telemetry import RelayHealth


class _Quiet(WSGIRequestHandler):
    def log_message(self, *_: Any) -> None:  # a line for each time that somebody looks would bury the others
        pass


def start_status_server(port: int, health: Callable[[], RelayHealth], *, host: str = "0.0.0.0") -> int:  # noqa: S104
    """Serve in a thread that ends with the process, and return the port (`port` 0 is any).

    Raises:
        OSError: the port is taken.
    """
    metrics = make_wsgi_app()

    def answer(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        match environ["PATH_INFO"]:
            case "/health":
                return _json(start_response, health())
            case "/health/live":
                return _json(start_response, RelayHealth.of({}))
            case _:
                return metrics(environ, start_response)  # type: ignore[no-any-return]  # it has no types

    server = make_server(host, port, answer, ThreadingWSGIServer, _Quiet)
    threading.Thread(target=server.serve_forever, daemon=True, name="status-server").start()
    return int(server.server_port)


def _json(start_response: Any, health: RelayHealth) -> Iterable[bytes]:
    body = json.dumps({"status": health.status, "checks": health.checks, "causes": health.causes}).encode()
    status = "503 Service Unavailable" if health.status == "unavailable" else "200 OK"
    headers = [("content-type", "application/json"), ("cache-control", "no-store"), ("content-length", str(len(body)))]
    start_response(status, headers)
    return [body]
