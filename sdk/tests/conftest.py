import os
import sys
from collections.abc import AsyncIterator, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from anomalyze_auth import JwksKeys, SessionVerifier
from sdktest.jwks_server import JwksServer
from sdktest.tokens import ISSUER, NOW, jwk
from sdktest.verdicts import Clock


@pytest.fixture
def jwks_server() -> Iterator[JwksServer]:
    server = JwksServer()
    yield server
    server.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def keys(jwks_server: JwksServer, clock: Clock) -> AsyncIterator[JwksKeys]:
    jwks_server.answer_keys(jwk())
    keys = JwksKeys(
        jwks_server.url,
        fresh_for=300,
        stale_for=3600,
        cooldown=30,
        retry_every=2,
        timeout=3.0,
        clock=clock,
    )
    yield keys
    await keys.aclose()


@pytest.fixture
def verifier(keys: JwksKeys) -> SessionVerifier:
    return SessionVerifier(keys, issuer=ISSUER, now=lambda: float(NOW))


@pytest.fixture(scope="session")
def kafka_address(pytestconfig: pytest.Config) -> Iterator[str]:
    """A real broker: the one that TEST_KAFKA_BOOTSTRAP_SERVERS names, what the service's tests use, or a container."""
    given = os.environ.get("TEST_KAFKA_BOOTSTRAP_SERVERS")
    if given:
        yield given
    elif find_spec("support"):  # run together with the service's tests
        from support import shared_servers  # noqa: PLC0415

        yield shared_servers.address(pytestconfig, "kafka")
    else:
        from sdktest.kafka_container import kafka_container  # noqa: PLC0415  (only these tests need Docker)

        with kafka_container() as address:
            yield address
