"""What consumers have seen of each user, read from a real broker's topic."""

import asyncio
import time

import pytest
from aiokafka import AIOKafkaProducer

from adapters.kafka.seen import read_seen
from application.reconcile.ports import Seen
from integration.kafka.test_topic_tail import publish_raw_header_name

EVENT = {"ce_specversion": "1.0", "ce_id": "x", "ce_type": "anomalyze.user.updated.v1"}


async def publish(address, topic, *records):
    """Write records of a key, a version and a value, and perhaps other headers."""
    producer = AIOKafkaProducer(bootstrap_servers=address)
    await producer.start()
    try:
        for key, version, value, *more in records:
            headers = {**EVENT, "ce_sequence": str(version).zfill(20), **(more[0] if more else {})}
            encoded = [(name, text and text.encode()) for name, text in headers.items()]
            await producer.send_and_wait(topic, value, key=key.encode(), headers=encoded)
    finally:
        await producer.stop()


async def test_the_first_record_of_the_highest_version_counts_and_what_is_no_event_of_ours_does_not(
    kafka_address, topic
):
    await publish(
        kafka_address,
        topic,
        ("user_1", 2, b'{"user": {"n": 2}}'),
        ("user_1", 1, b'{"user": {"n": 1}}'),
        ("user_1", 2, b'{"user": {"n": 22}}'),
        ("user_2", 5, b'{"user": {"n": 5}}'),
        ("user_2", 6, b"no JSON"),
        ("somebody", 1, b'{"user": {}}'),
        ("user_2", 7, b'{"user": {}}', {"ce_type": "acme.user.updated.v1"}),
        ("user_2", 7, b'{"user": {}}', {"ce_specversion": None}),
        ("user_2", 7, b'{"user": {"n": ' + b"[" * 20_000 + b"]" * 20_000 + b"}}"),
        ("user_2", 2**63, b'{"user": {}}'),
        ("user_2", "1_0", b'{"user": {}}'),
        ("user_2", "9" * 5_000, b'{"user": {}}'),
        ("user_2", 0, b'{"user": {}}', {"ce_sequence": None}),
    )

    assert await read_seen([kafka_address], topic, None, 0) == {
        "user_1": Seen(2, {"n": 2}),
        "user_2": Seen(5, {"n": 5}),
    }


async def test_a_record_that_no_client_can_take_apart_hides_nothing_behind_it(kafka_address, topic):
    await publish_raw_header_name(kafka_address, topic, 0, b"\xff\xfe")
    users = [f"user_{number}" for number in range(20)]  # in all partitions
    await publish(kafka_address, topic, *((user, 1, b'{"user": {}}') for user in users))

    async with asyncio.timeout(60):
        assert await read_seen([kafka_address], topic, None, 0) == dict.fromkeys(users, Seen(1, {}))


async def test_it_is_read_from_the_time_that_is_named(kafka_address, topic):
    await publish(kafka_address, topic, ("user_1", 1, b'{"user": {}}'))
    await asyncio.sleep(0.01)
    since = time.time_ns() // 1_000_000
    await publish(kafka_address, topic, ("user_2", 1, b'{"user": {}}'))

    assert await read_seen([kafka_address], topic, None, since) == {"user_2": Seen(1, {})}
    assert await read_seen([kafka_address], topic, None, since + 60_000) == {}


@pytest.mark.parametrize("since_ms", [0, 1])
async def test_an_empty_topic_has_nobody(kafka_address, topic, since_ms):
    assert await read_seen([kafka_address], topic, None, since_ms) == {}
