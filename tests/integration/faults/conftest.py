"""What every run of faults has to keep to: whatever breaks, nobody writes down a person or a secret."""

from collections.abc import Iterator

import pytest

from integration.relay.conftest import start_relay, users
from support import processes
from support.leaks import leaks, secrets_of

__all__ = ["start_relay", "users"]


@pytest.fixture(autouse=True)
def written() -> Iterator[dict[str, str]]:
    """All that is written in a test: each process's output, and what else the test puts here, by its name."""
    before = len(processes.started)
    texts: dict[str, str] = {}
    yield texts
    started = processes.started[before:]
    secrets = {secret: name for process in started for name, secret in secrets_of(process.variables)}
    texts |= {process.output.name: process.text() for process in started}

    assert {name: found for name, text in texts.items() if (found := leaks(text, secrets))} == {}
