"""The README's way to have all users, against a real broker."""

import itertools
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from sdktest.messages import PROFILE, headers, value
from test_readme import EXAMPLES

_NUMBERS = itertools.count(1)


@pytest.fixture
async def topic(kafka_address: str) -> AsyncIterator[str]:
    """A compacted topic of three partitions, written in transactions as the auth service does."""
    name = f"sdk-user-state-{next(_NUMBERS)}"
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_address)
    await admin.start()
    await admin.create_topics([NewTopic(name, 3, 1, topic_configs={"cleanup.policy": "compact"})])
    async with AIOKafkaProducer(bootstrap_servers=kafka_address, transactional_id=name) as producer:
        for user, version, lives in (("a", 1, True), ("b", 1, True), ("a", 2, True), ("c", 4, True), ("b", 2, False)):
            user_id = f"user_{user}"
            async with producer.transaction():
                await producer.send(
                    name,
                    value({**PROFILE, "id": user_id, "version": version}) if lives else None,
                    key=user_id.encode(),
                    headers=[(k, v.encode()) for k, v in headers("state.v1", version, user_id).items()],
                )
    yield name
    await admin.delete_topics([name])
    await admin.close()


async def test_the_bootstrap_example_has_all_users_that_live_and_ends_when_it_is_current(
    kafka_address, topic, monkeypatch, capsys
):
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", kafka_address)
    example: dict[str, Any] = {}
    exec(EXAMPLES["bootstrap"], example)  # the README's own code

    await example["follow"](topic, until_current=True)

    assert {user_id: user.version for user_id, user in example["users"].items()} == {"user_a": 2, "user_c": 4}
    assert capsys.readouterr().out == "2 users\n"


async def test_an_empty_topic_has_no_users(kafka_address, monkeypatch, capsys):
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_address)
    await admin.start()
    name = f"sdk-user-state-{next(_NUMBERS)}"
    await admin.create_topics([NewTopic(name, 3, 1)])
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", kafka_address)
    example: dict[str, Any] = {}
    exec(EXAMPLES["bootstrap"], example)  # the README's own code

    await example["follow"](name, until_current=True)

    assert dict(example["users"]) == {}
    await admin.delete_topics([name])
    await admin.close()
