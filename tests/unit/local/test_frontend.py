"""The example page over HTTP; tests/integration/programs/frontend opens it in a browser."""

import httpx
import pytest

from devkit.local.frontend import serve_frontend
from devkit.servers.ports import free_port


@pytest.mark.parametrize("path", ["/", "/app.js", "/config.json", "/nothing"])
def test_head_answers_as_get_without_a_body(path):
    port = free_port()
    with (
        serve_frontend(port=port, api="http://127.0.0.1:3002", mint=None),
        httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as http,
    ):
        get, head = http.get(path), http.head(path)

    assert (head.status_code, head.content) == (get.status_code, b"")
    assert head.headers["content-length"] == get.headers["content-length"] != "0"
