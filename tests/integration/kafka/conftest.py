"""A Kafka that lets nobody in without a client certificate or an access token."""

from collections.abc import Iterator

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from support.demanding_kafka import DemandingKafka, TokenEndpoint, demanding_kafka, token_endpoint


@pytest.fixture(scope="module")
def token_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture(scope="module")
def demanding(token_key: rsa.RSAPrivateKey) -> Iterator[DemandingKafka]:
    # Connections do not last: idle ones are closed after a moment, and those that came with a token too.
    times = {"listener_name_oauth_oauthbearer_connections_max_reauth_ms": "3000", "connections_max_idle_ms": "2000"}
    with demanding_kafka(token_key, **times) as kafka:
        yield kafka


@pytest.fixture
def tokens(token_key: rsa.RSAPrivateKey) -> Iterator[TokenEndpoint]:
    with token_endpoint(token_key) as endpoint:
        yield endpoint
