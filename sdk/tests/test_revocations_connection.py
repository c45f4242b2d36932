"""With what `Revocations` connect."""

import asyncio
from typing import Any, NoReturn

from anomalyze_auth import revocations
from anomalyze_auth.kafka import KafkaConnection
from sdktest.revocation_topics import until

SCRAM = {
    "KAFKA_BOOTSTRAP_SERVERS": "b-1:9092,b-2:9092",
    "KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
    "KAFKA_SASL_MECHANISM": "SCRAM-SHA-512",
    "KAFKA_SASL_USERNAME": "me",
}
OAUTH = {
    "KAFKA_BOOTSTRAP_SERVERS": "b-1:9092",
    "KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
    "KAFKA_SASL_MECHANISM": "OAUTHBEARER",
    "KAFKA_OAUTH_TOKEN_URL": "https://oidc.example.com/token",
    "KAFKA_OAUTH_CLIENT_ID": "me",
    "KAFKA_OAUTH_CLIENT_SECRET": "s3cret",
}


def recorded(monkeypatch) -> list[dict[str, Any]]:
    """The options of each attempt to connect; every attempt fails."""
    attempts: list[dict[str, Any]] = []

    async def follow(servers, topics, since, following, **connection: Any) -> NoReturn:
        attempts.append({"bootstrap_servers": servers, **connection})
        raise ConnectionError

    monkeypatch.setattr(revocations, "follow", follow)
    monkeypatch.setattr(revocations, "_AGAIN_S", 0.01)
    return attempts


async def test_a_password_that_was_rotated_is_used_when_they_connect_again(monkeypatch, tmp_path):
    attempts = recorded(monkeypatch)
    file = tmp_path / "password"
    file.write_text("first")
    connection = KafkaConnection.from_environment({**SCRAM, "KAFKA_SASL_PASSWORD_FILE": str(file)})

    made = revocations.Revocations(**connection.broker_options())
    starting = asyncio.create_task(made.start())
    await until(lambda: bool(attempts))
    file.write_text("second")
    count = len(attempts)
    await until(lambda: len(attempts) > count + 1)
    starting.cancel()
    await asyncio.gather(starting, return_exceptions=True)

    assert attempts[0]["sasl_plain_password"] == "first"
    assert attempts[-1]["sasl_plain_password"] == "second"
    assert attempts[-1]["bootstrap_servers"] == ["b-1:9092", "b-2:9092"]


async def test_access_tokens_are_fetched_by_one_provider(monkeypatch):
    attempts = recorded(monkeypatch)

    made = revocations.Revocations(**KafkaConnection.from_environment(OAUTH).broker_options())
    starting = asyncio.create_task(made.start())
    await until(lambda: len(attempts) > 1)
    starting.cancel()
    await asyncio.gather(starting, return_exceptions=True)

    providers = {id(attempt["sasl_oauth_token_provider"]) for attempt in attempts}
    assert len(providers) == 1
    assert attempts[0]["sasl_mechanism"] == "OAUTHBEARER"
