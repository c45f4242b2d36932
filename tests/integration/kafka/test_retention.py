"""How long a record stays: Kafka deletes whole segments, each when its newest record is past the retention."""

import asyncio

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from integration.conftest import create_topic
from support import servers

RETENTION_S, SEGMENT_S = 3, 2


@pytest.fixture(scope="module")
def kafka():
    with servers.kafka(log_retention_check_interval_ms="200", log_segment_delete_delay_ms="200") as running:
        yield running


async def first_offset(address: str, topic: str) -> int:
    consumer = AIOKafkaConsumer(bootstrap_servers=address)
    await consumer.start()
    try:
        partition = TopicPartition(topic, 0)
        return (await consumer.beginning_offsets([partition]))[partition]
    finally:
        await consumer.stop()


async def test_a_record_stays_for_the_retention_and_the_time_of_a_segment(kafka):
    """Which is why both are defined. Two topics that are written to all the time, one with a day for a segment."""
    common = {"partitions": 1, "retention_ms": str(RETENTION_S * 1000)}
    await create_topic(kafka.address, "long", **common, segment_ms="86400000")
    await create_topic(kafka.address, "short", **common, segment_ms=str(SEGMENT_S * 1000))
    await create_topic(kafka.address, "quiet", **common, segment_ms="86400000")
    producer = AIOKafkaProducer(bootstrap_servers=kafka.address)
    await producer.start()
    try:
        await producer.send_and_wait("quiet", b"last")
        async with asyncio.timeout(90):
            while await first_offset(kafka.address, "short") == 0 or await first_offset(kafka.address, "quiet") == 0:
                for topic in ("long", "short"):
                    await producer.send_and_wait(topic, b"x")
                await asyncio.sleep(0.2)
        kept = await first_offset(kafka.address, "long")
    finally:
        await producer.stop()

    assert kept == 0
