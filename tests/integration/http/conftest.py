from collections.abc import Callable, Iterator
from typing import Any

import pytest

from support.http_process import Served, start, wait_until_it_answers

Serve = Callable[..., Served]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start services; they are gone when the test ends."""
    running: list[Served] = []

    def started(*arguments: str, **named: Any) -> Served:
        served = start(*arguments, **named)
        running.append(served)
        wait_until_it_answers(served)
        return served

    yield started
    for served in running:
        if served.process.poll() is None:
            served.stop()


@pytest.fixture(scope="module")
def offline() -> Iterator[Served]:
    """One service for the tests that come no further than the edge; its database is not there."""
    served = start()
    wait_until_it_answers(served)
    yield served
    served.stop()
