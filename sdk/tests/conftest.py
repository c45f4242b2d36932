import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from sdktest.jwks_server import JwksServer


@pytest.fixture
def jwks_server() -> Iterator[JwksServer]:
    server = JwksServer()
    yield server
    server.close()


@pytest.fixture(scope="session")
def kafka_address() -> Iterator[str]:
    """A real broker: the one that TEST_KAFKA_BOOTSTRAP_SERVERS names, or a container."""
    given = os.environ.get("TEST_KAFKA_BOOTSTRAP_SERVERS")
    if given:
        yield given
    else:
        from sdktest.kafka_container import kafka_container  # noqa: PLC0415  (only these tests need Docker)

        with kafka_container() as address:
            yield address
