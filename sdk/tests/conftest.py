import os
import sys
from collections.abc import Iterator
from importlib.util import find_spec
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
    """A real broker: the one that TEST_KAFKA_BOOTSTRAP_SERVERS names, what the service's tests use, or a container."""
    given = os.environ.get("TEST_KAFKA_BOOTSTRAP_SERVERS")
    if given:
        yield given
    elif find_spec("support"):  # run together with the service's tests
        from support import servers  # noqa: PLC0415

        with servers.kafka() as server:
            yield server.address
    else:
        from sdktest.kafka_container import kafka_container  # noqa: PLC0415  (only these tests need Docker)

        with kafka_container() as address:
            yield address
