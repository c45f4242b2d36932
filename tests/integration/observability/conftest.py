import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from devkit.servers.ports import free_port
from integration.http.conftest import serve
from integration.relay.conftest import start_relay, users
from support import processes
from support.collector import Collector, collector
from support.processes import Process

__all__ = ["serve", "start_relay", "users"]

StartServe = Callable[..., tuple[Process, str]]


@pytest.fixture(name="collector")
def running_collector() -> Iterator[Collector]:
    with collector() as running:
        yield running


@pytest.fixture
def running_serve(tmp_path: Path, database_url: str) -> Iterator[StartServe]:
    """Start a service on the test's database, whose output goes to a file; return it with its address."""
    with ExitStack() as stack:

        def start(*arguments: str, **variables: str) -> tuple[Process, str]:
            port = free_port()
            process = stack.enter_context(processes.serve(tmp_path, database_url, port, *arguments, **variables))
            url = f"http://127.0.0.1:{port}"
            wait_until_it_answers(process, url)
            return process, url

        yield start


def wait_until_it_answers(process: Process, url: str, within: float = 60) -> None:
    deadline = time.monotonic() + within
    while True:
        try:
            if httpx.get(f"{url}/health/live", timeout=2, trust_env=False).status_code == httpx.codes.OK:
                return
        except httpx.TransportError:
            pass
        assert process.alive, process.text()
        assert time.monotonic() < deadline, process.text()
        time.sleep(0.05)
