"""One service, and faults that are set without telling it: whatever an operator looks at has to name the cause."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack

import asyncpg
import pytest

from application.relay.topics import SESSIONS
from integration.conftest import create_topic
from support import processes, servers
from support.drill import Service, wait_for
from support.web import PARTY, environment


@pytest.fixture
def start(tmp_path) -> Iterator[Callable[..., Service]]:
    """Start `serve` and `relay` with these variables."""
    with ExitStack() as stack:

        def start_(database_url: str, bootstrap_servers: str, topic: str, **more: str) -> Service:
            variables = {
                **environment(DATABASE_URL=database_url),
                "CLERK_AUTHORIZED_PARTIES": PARTY,
                "KAFKA_BOOTSTRAP_SERVERS": bootstrap_servers,
                "KAFKA_USER_EVENTS_TOPIC": topic,
                **more,
            }
            port, metrics_port = servers.free_port(), servers.free_port()
            serve = stack.enter_context(processes.running(tmp_path, "serve", "--port", str(port), **variables))
            arguments = ("relay", "--metrics-port", str(metrics_port))
            relay = stack.enter_context(processes.running(tmp_path, *arguments, **variables))
            service = Service(serve, relay, port, metrics_port, variables, tmp_path)
            for url in (f"http://127.0.0.1:{port}/health/live", f"http://127.0.0.1:{metrics_port}/health/live"):
                wait_for(url, serve, relay)
            return service

        yield start_


@pytest.fixture(scope="session", autouse=True)
async def session_topic(kafka_address) -> None:
    """The one topic that is not a test's own: doctor would miss it."""
    await create_topic(kafka_address, SESSIONS.default_name)


@pytest.fixture
async def sql(database_url) -> AsyncIterator[asyncpg.Connection]:
    """A connection of the operator's own."""
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()
