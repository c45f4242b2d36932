"""`auth-service trigger`, and a service that takes what it sends."""

import json
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import SimpleNamespace
from typing import Any

import pytest

from entrypoints.cli.main import main


class Service(HTTPServer):
    """Takes deliveries and answers as it is told."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.deliveries: list[SimpleNamespace] = []
        self.status = 200
        self.url = f"http://127.0.0.1:{self.server_port}/webhooks/clerk"


class Handler(BaseHTTPRequestHandler):
    server: Service

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.deliveries.append(SimpleNamespace(path=self.path, headers=headers, body=body))
        answer = b'{"outcome":"created"}'
        self.send_response(self.server.status)
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *arguments: Any) -> None:
        pass


def trigger(*arguments: object) -> Any:
    """Run the command and return its exit status or message."""
    with pytest.raises(SystemExit) as stop:
        main(["trigger", *map(str, arguments)])
    return stop.value.code


def data_of(delivery: SimpleNamespace) -> Any:
    return json.loads(delivery.body)["data"]
