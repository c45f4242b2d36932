from collections.abc import Iterator

import pytest

from support.compose import Stack, stack


@pytest.fixture(scope="package")
def compose() -> Iterator[Stack]:
    """What `docker compose up` gives somebody who has cloned the repository and has no keys."""
    with stack() as running:
        yield running
