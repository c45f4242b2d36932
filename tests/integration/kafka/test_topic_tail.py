"""Looking at a topic, and making one, on a real broker."""

import asyncio
import json

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.record.util import calc_crc32c as crc32c

from adapters.kafka.connectivity import connection_to
from adapters.kafka.consumer import tail_topic
from adapters.kafka.metadata import metadata_of
from adapters.kafka.topics import add_partitions, create_topics
from application.errors import BrokerUnavailableError
from application.relay.topics import EVENTS, Topic
from entrypoints.cli.events import cells, cloud_event, line


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


async def put(address, topic, *records):
    """Write pairs of partition and value."""
    producer = AIOKafkaProducer(bootstrap_servers=address)
    await producer.start()
    try:
        for partition, value in records:
            await producer.send_and_wait(topic, value, partition=partition)
    finally:
        await producer.stop()


async def make_anew(address, topic, partitions):
    """Delete the topic, and make it again unless it is to have no partitions."""
    admin = AIOKafkaAdminClient(bootstrap_servers=address)
    await admin.start()
    try:
        await admin.delete_topics([topic])
        while topic in await admin.list_topics():
            await asyncio.sleep(0.05)
        if partitions:
            await admin.create_topics([NewTopic(topic, partitions, 1)])
    finally:
        await admin.close()


async def until_partitions(address, topic, count):
    """Wait until a broker tells its clients of so many."""
    admin = AIOKafkaAdminClient(bootstrap_servers=address)
    await admin.start()
    try:
        async with asyncio.timeout(60):
            while [len(found["partitions"]) for found in await admin.describe_topics([topic])] != [count]:
                await asyncio.sleep(0.05)
    finally:
        await admin.close()


async def take(tail, count):
    async with asyncio.timeout(60):
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


async def test_partitions_that_are_added_are_read_from_their_beginning_and_nothing_is_read_twice(kafka_address, topic):
    grown = Topic(f"{topic}-grown", EVENTS)
    await create_topics([kafka_address], [grown], None, partitions=1)
    await put(kafka_address, grown.name, (0, b"before"), (0, b"1"))

    async with tail_topic([kafka_address], grown.name, None, from_beginning=True) as tail:
        first = await take(tail, 1)
        await add_partitions([kafka_address], grown.name, None, partitions=3)
        await until_partitions(kafka_address, grown.name, 3)
        await put(kafka_address, grown.name, (1, b"2"), (2, b"3"), (0, b"4"))
        others = await take(tail, 4)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(tail.next(), 1.5)

    assert [record.value for record in first] == [b"before"]
    assert sorted((record.value, record.partition) for record in others) == [(b"1", 0), (b"2", 1), (b"3", 2), (b"4", 0)]


async def test_a_topic_that_is_deleted_meanwhile_is_told(kafka_address, topic):
    gone = Topic(f"{topic}-gone", EVENTS)
    await create_topics([kafka_address], [gone], None, partitions=2)

    async with tail_topic([kafka_address], gone.name, None, from_beginning=True) as tail:
        await make_anew(kafka_address, gone.name, 0)
        with pytest.raises(BrokerUnavailableError, match=rf"topic missing \({gone.name}\)"):
            await take(tail, 1)


async def test_a_topic_that_is_made_anew_with_fewer_partitions_is_read_from_its_beginning(kafka_address, topic):
    anew = Topic(f"{topic}-anew", EVENTS)
    await create_topics([kafka_address], [anew], None, partitions=3)
    await put(kafka_address, anew.name, *((0, b"old") for _ in range(5)))

    async with tail_topic([kafka_address], anew.name, None, from_beginning=True) as tail:
        await take(tail, 5)
        await make_anew(kafka_address, anew.name, 1)
        await put(kafka_address, anew.name, (0, b"new 1"), (0, b"new 2"))
        records = await take(tail, 1)
        while records[-1].value != b"new 2":
            records += await take(tail, 1)

    # What came before the new number of partitions is known comes again.
    found = dict.fromkeys((record.value, record.offset) for record in records)
    assert [*found] == [(b"new 1", 0), (b"new 2", 1)]


async def test_an_empty_topic_has_a_beginning_and_an_end(kafka_address, topic):
    async with tail_topic([kafka_address], topic, None, from_beginning=True) as tail:
        assert await tail.length() == 0
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(tail.next(), 0.5)


async def test_a_topic_that_is_missing_is_told_and_not_made(kafka_address, topic):
    with pytest.raises(BrokerUnavailableError, match=rf"topic missing \({topic}-missing at "):
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
        assert len(tail.subscriber.partitions) == 3


async def test_partitions_that_were_added_are_known_at_once(kafka_address, topic):
    grown = Topic(f"{topic}-grown-often", EVENTS)
    await create_topics([kafka_address], [grown], None, partitions=1)

    for number in range(2, 12):
        await add_partitions([kafka_address], grown.name, None, partitions=number)
        async with connection_to(kafka_address, {}) as connection:
            [known] = (await metadata_of(connection.send, [grown.name])).topics.values()
        assert len(known.partitions) == number


async def test_a_name_that_kafka_refuses_is_told(kafka_address):
    with pytest.raises(BrokerUnavailableError, match="cannot be created"):
        await create_topics([kafka_address], [Topic("no/topic", EVENTS)], None)


# Whatever a producer can put into a record: headers without a value, named twice, not UTF-8; no key; no value.
ODD: list[tuple[bytes | None, bytes | None, list[tuple[str, bytes | None]]]] = [
    (b"user_1", b"{}", [("ce_type", None)]),
    (None, b"{}", []),
    (b"user_1", None, [("ce_type", b"t")]),
    (None, None, []),
    (b"\xff\xfe", b"\xff", [("ce_type", b"\xff\xfe"), ("", b"")]),
    (b"user_1", b"{}", [("ce_type", b"first"), ("ce_type", b"last")]),
    (b"user_1", b"{}", [("ce_type", b"first"), ("ce_type", None)]),
    (b"user_1", b"[" * 100_000, [("ce_type", b"deep")]),
    (b"user_1", b'{"changed": [NaN, "\\ud800"], "n": NaN}', [("ce_type", b"nan")]),
    (b"user_1", b"x", [("ce_type", b"x"), ("ce_sequence", b"\xff"), ("ce_time", b""), ("content-type", None)]),
]


async def test_whatever_is_in_a_record_is_shown_as_far_as_it_goes_and_the_reading_goes_on(kafka_address, topic):
    producer = AIOKafkaProducer(bootstrap_servers=kafka_address, max_batch_size=2**19)
    await producer.start()
    batch = producer.create_batch()  # `send` takes no record without key and value
    for key, value, headers in ODD:
        assert batch.append(timestamp=None, key=key, value=value, headers=headers)
    await (await producer.send_batch(batch, topic, partition=0))
    await producer.stop()

    async with tail_topic([kafka_address], topic, None, from_beginning=True) as tail:
        records = await take(tail, len(ODD))

    assert [(record.key, record.value) for record in records] == [(key, value) for key, value, _ in ODD]
    assert [record.headers.get("ce_type") for record in records] == [
        *(None, None, "t", None, "\ufffd\ufffd", "last", None, "deep", "nan", "x"),
    ]
    for record in records:
        assert line(record).plain
        json.loads(json.dumps(cloud_event(record)), parse_constant=pytest.fail)


async def test_a_record_that_the_client_cannot_take_apart_is_passed_over(kafka_address, topic):
    """A header's name is bytes to a broker, and text to a client."""
    await publish(kafka_address, topic, b"before", ce_id="x")
    await publish_raw_header_name(kafka_address, topic, 0, b"\xff\xfe")
    await publish_raw_header_name(kafka_address, topic, 1, b"\xff\xfe")
    async with tail_topic([kafka_address], topic, None, from_beginning=True) as tail:
        first = await take(tail, 3)
        await publish(kafka_address, topic, b"after", ce_id="y")
        [after] = await take(tail, 1)

    assert sorted((record.readable, record.value or b"") for record in first) == [
        *((False, b""), (False, b""), (True, b"before")),
    ]
    assert [cells(record)[-1] for record in first if not record.readable] == [
        f"partition {record.partition} offset {record.offset}: cannot be taken apart"
        for record in first
        if not record.readable
    ]
    assert (after.readable, after.value) == (True, b"after")


async def publish_raw_header_name(
    address: str, topic: str, partition: int, name: bytes, key: bytes | None = None
) -> None:
    """Write a header with a name of our own length over in the finished batch, before its checksum is made."""
    producer = AIOKafkaProducer(bootstrap_servers=address)
    await producer.start()
    try:
        builder = producer.create_batch()
        builder.append(timestamp=None, key=key, value=b"v", headers=[("\x01" * len(name), b"v")])
        build = builder._builder.build

        def with_other_name() -> bytearray:
            batch = bytearray(build())
            at = batch.index(b"\x01" * len(name), 61)  # behind the batch's own fields
            batch[at : at + len(name)] = name
            batch[17:21] = crc32c(bytes(batch[21:])).to_bytes(4, "big")
            return batch

        builder._builder = _Built(builder._builder, with_other_name)
        await (await producer.send_batch(builder, topic, partition=partition))
    finally:
        await producer.stop()


class _Built:
    """aiokafka's builder, with another `build`."""

    def __init__(self, builder, build):
        self._builder, self.build = builder, build

    def __getattr__(self, name):
        return getattr(self._builder, name)
