"""Looking at a topic, and making one, on a real broker."""

import asyncio

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient

from adapters.kafka.consumer import tail_topic
from adapters.kafka.topics import create_topics
from application.errors import BrokerUnavailableError
from application.topics import EVENTS, Topic


async def publish(address, topic, *values, **headers):
    producer = AIOKafkaProducer(bootstrap_servers=address)
    await producer.start()
    try:
        for value in values:
            await producer.send_and_wait(
                topic, value, key=b"user_1", headers=[(name, text.encode()) for name, text in headers.items()]
            )
    finally:
        await producer.stop()


async def take(tail, count):
    async with asyncio.timeout(20):
        return [await tail.next() for _ in range(count)]


async def test_from_the_beginning_everything_is_read_as_it_was_written(kafka_address, topic):
    await publish(kafka_address, topic, b"1", b"2", ce_id="x")

    async with tail_topic([kafka_address], topic, None, from_beginning=True) as tail:
        records = await take(tail, 2)
        length = await tail.length()

    assert [(record.value, record.key, record.headers, record.offset) for record in records] == [
        (b"1", b"user_1", {"ce_id": "x"}, 0),
        (b"2", b"user_1", {"ce_id": "x"}, 1),
    ]
    assert len({record.partition for record in records}) == 1
    assert length == 2


async def test_at_the_end_exactly_what_comes_later_is_read(kafka_address, topic):
    await publish(kafka_address, topic, b"before")

    async with tail_topic([kafka_address], topic, None, from_beginning=False) as tail:
        await publish(kafka_address, topic, b"after")
        records = await take(tail, 1)

    assert [record.value for record in records] == [b"after"]


async def test_an_empty_topic_has_a_beginning_and_an_end(kafka_address, topic):
    async with tail_topic([kafka_address], topic, None, from_beginning=True) as tail:
        assert await tail.length() == 0
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(tail.next(), 0.5)


async def test_a_topic_that_is_missing_is_told_and_not_made(kafka_address, topic):
    with pytest.raises(BrokerUnavailableError, match=f"no topic {topic}-missing"):
        async with tail_topic([kafka_address], f"{topic}-missing", None, from_beginning=True):
            pytest.fail("there is nothing to read")

    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_address)
    await admin.start()
    names = await admin.list_topics()
    await admin.close()
    assert f"{topic}-missing" not in names


async def test_brokers_out_of_reach_are_told():
    with pytest.raises(BrokerUnavailableError, match=r"out of reach \(127\.0\.0\.1:1: connection refused"):
        async with tail_topic(["127.0.0.1:1"], "any", None, from_beginning=True):
            pytest.fail("there is nobody")
    with pytest.raises(BrokerUnavailableError, match=r"out of reach \(127\.0\.0\.1:1"):
        await create_topics(["127.0.0.1:1"], [Topic("any", EVENTS)], None)


async def test_a_topic_is_made_once(kafka_address, topic):
    made = Topic(f"{topic}-made", EVENTS)
    first = await create_topics([kafka_address], [made], None, partitions=3)
    second = await create_topics([kafka_address], [made], None, partitions=5)

    assert (first, second) == ([made.name], [])
    async with tail_topic([kafka_address], made.name, None, from_beginning=True) as tail:
        assert len(tail._partitions) == 3


async def test_a_name_that_kafka_refuses_is_told(kafka_address):
    with pytest.raises(BrokerUnavailableError, match="cannot be created"):
        await create_topics([kafka_address], [Topic("no/topic", EVENTS)], None)
