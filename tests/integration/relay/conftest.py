from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from support import processes
from support.processes import Process
from support.writing import Writer, writer

StartRelay = Callable[..., Process]


@pytest.fixture
async def users(database_url: str) -> AsyncIterator[Writer]:
    async with writer(database_url) as users:
        yield users


@pytest.fixture
def start_relay(database_url: str, kafka_address: str, topic: str, tmp_path: Path) -> Iterator[StartRelay]:
    """Start a relay on the test's database and topic; it is gone after the test."""
    with ExitStack() as stack:

        def start(
            *arguments: str, url: str = database_url, kafka: str = kafka_address, to: str = topic, **more: str
        ) -> Process:
            return stack.enter_context(processes.relay(tmp_path, url, kafka, to, *arguments, **more))

        yield start
