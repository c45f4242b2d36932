"""A primary and its standby, and the service over both."""

import os
import random
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from application.relay.topics import SESSIONS
from integration.conftest import create_topic
from support import processes
from support.failover import Drill, migrated
from support.replication import Pair, pair
from support.senders import Life, Senders
from support.servers import free_port
from support.web import SECRET

Drilled = tuple[Drill, list[processes.Process], list[str]]
SEED = int(os.environ.get("FAILOVER_SEED") or random.SystemRandom().randrange(10_000))


@pytest.fixture
def two_servers() -> Iterator[Pair]:
    with pair() as running:
        yield running


@pytest.fixture(scope="session", autouse=True)
async def session_topic(kafka_address) -> None:
    await create_topic(kafka_address, SESSIONS.default_name)


@contextmanager
def deployed(
    folder: Path, url: Callable[[Sequence[int]], str], kafka: str, topic: str
) -> Iterator[tuple[list[processes.Process], list[str]]]:
    """Run two `serve` and two relays, each kind with the hosts in either order; yield them and the URLs of `serve`.

    `url` is asked for the connection string with the hosts in this order.
    """
    ports = [free_port(), free_port()]
    orders = ((0, 1), (1, 0))
    with ExitStack() as stack:
        serves = [
            stack.enter_context(processes.serve(folder, url(order), port))
            for order, port in zip(orders, ports, strict=True)
        ]
        relays = [stack.enter_context(processes.relay(folder, url(order), kafka, topic)) for order in orders]
        yield [*serves, *relays], [f"http://127.0.0.1:{port}" for port in ports]


@pytest.fixture
def drill_on() -> Callable[[Pair, list[str]], Drill]:
    def make(both: Pair, urls: list[str]) -> Drill:
        print(f"FAILOVER_SEED={SEED}")
        users = [f"user_{number}" for number in range(300)]
        life = Life(random.Random(f"{SEED} life"), users)
        probing = Life(random.Random(f"{SEED} probe"), [f"user_probe{number}" for number in range(20)])
        return Drill(both, random.Random(f"{SEED} faults"), Senders(life, urls, SECRET), Senders(probing, urls, SECRET))

    return make


@pytest.fixture
async def drilled(two_servers, tmp_path, kafka_address, topic, drill_on) -> AsyncIterator[Drilled]:
    """Deploy the service over a primary with a synchronous standby, and wait until it serves."""
    await migrated(two_servers)
    await two_servers.replicate(synchronous=True)
    with deployed(tmp_path, two_servers.url, kafka_address, topic) as (running, urls):
        drill = drill_on(two_servers, urls)
        await drill.senders.until_served()
        yield drill, running, urls
