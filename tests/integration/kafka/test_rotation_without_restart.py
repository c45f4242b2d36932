"""A relay goes on when its certificate, its client secret or the token endpoint changes under it."""

import asyncio
import itertools
import os
import shutil

import pytest

from integration.conftest import create_topic
from support import processes
from support.authority import Authority
from support.demanding_kafka import CLIENT_SECRET
from support.http_server import Answer
from support.ledger import faults, read_topic_until
from support.writing import writer

_numbers = itertools.count(1)
IDLE_S = 5
"""After so long without an event the broker has closed the relay's connections."""


@pytest.fixture
async def made_topic(demanding) -> str:
    name = f"rotation-{os.getpid()}-{next(_numbers)}"
    await create_topic(demanding.open_address, name)
    return name


@pytest.fixture
async def users(database_url):
    async with writer(database_url) as users:
        yield users


async def arrive(demanding, topic, users):
    """Store another version of each user, and check that all versions so far arrive, in order."""
    await users.changes(1)
    got = await read_topic_until(demanding.open_address, topic, users.newest)
    assert faults(got, users.newest) == []


async def test_a_client_certificate_is_renewed_under_a_running_relay(
    demanding, made_topic, users, database_url, tmp_path
):
    def put(pair) -> None:
        shutil.copy(pair.certificate, tmp_path / "user.crt")
        shutil.copy(pair.key, tmp_path / "user.key")

    put(demanding.authority.issue("first"))
    (tmp_path / "elsewhere").mkdir()
    stranger = Authority(tmp_path / "elsewhere", "elsewhere").issue("stranger")
    variables = {
        "KAFKA_SECURITY_PROTOCOL": "SSL",
        "KAFKA_SSL_CA_FILE": str(demanding.authority.file),
        "KAFKA_SSL_CERT_FILE": str(tmp_path / "user.crt"),
        "KAFKA_SSL_KEY_FILE": str(tmp_path / "user.key"),
    }
    with processes.relay(tmp_path, database_url, demanding.mtls, made_topic, **variables) as relay:
        await arrive(demanding, made_topic, users)

        (tmp_path / "user.crt").write_text("half a certificate")
        await asyncio.sleep(IDLE_S)
        await arrive(demanding, made_topic, users)
        assert "Kafka's certificate files are not usable" in relay.text()
        assert relay.events("events_waiting") == []

        put(stranger)
        await asyncio.sleep(IDLE_S)
        await users.changes(1)
        [told] = await asyncio.to_thread(relay.wait_for, "events_waiting")
        assert "refuses the client certificate in KAFKA_SSL_CERT_FILE" in told["cause"]

        put(demanding.authority.issue("second"))
        await arrive(demanding, made_topic, users)
        assert relay.alive
        assert "unhandled_error" not in relay.text()
        assert await asyncio.to_thread(relay.stop) == 0


async def test_a_client_secret_is_renewed_and_the_token_endpoint_goes_away_under_a_running_relay(
    demanding, tokens, made_topic, users, database_url, tmp_path
):
    tokens.lifetime_s = 4
    file = tmp_path / "client-secret"
    file.write_text(CLIENT_SECRET)
    variables = {
        **tokens.variables,
        "KAFKA_OAUTH_CLIENT_SECRET_FILE": str(file),
        "KAFKA_SSL_CA_FILE": str(demanding.authority.file),
    }
    variables.pop("KAFKA_OAUTH_CLIENT_SECRET")
    with processes.relay(tmp_path, database_url, demanding.oauth, made_topic, **variables) as relay:
        await arrive(demanding, made_topic, users)
        async with users.changing(pause=0.02):
            await asyncio.sleep(8)  # sessions and tokens end meanwhile
        await arrive(demanding, made_topic, users)
        granted = tokens.granted

        tokens.secret = "the new one"
        file.write_text("the new one\n")
        await asyncio.sleep(IDLE_S)
        await arrive(demanding, made_topic, users)
        assert tokens.granted > granted > 1

        before = len(relay.events("events_waiting"))
        tokens.instead = Answer(503, {})
        await asyncio.sleep(IDLE_S)
        await users.changes(1)
        told = (await asyncio.to_thread(relay.wait_for, "events_waiting", count=before + 1))[-1]
        assert told["cause"] == f"Kafka: no access token ({tokens.url}: status 503)"

        tokens.instead, tokens.audience = None, "another"
        await asyncio.sleep(IDLE_S)
        tokens.audience = "kafka"
        await arrive(demanding, made_topic, users)
        assert relay.alive
        assert "the new one" not in relay.text()
        assert CLIENT_SECRET not in relay.text()
        assert "unhandled_error" not in relay.text()
        assert await asyncio.to_thread(relay.stop) == 0
