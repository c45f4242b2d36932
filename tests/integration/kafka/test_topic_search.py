"""Finding one user's records in a topic of a real broker, among everybody's and whatever else may stand there."""

import asyncio
import random
from collections import defaultdict
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions
from aiokafka.admin.records_to_delete import RecordsToDelete

from adapters.kafka import topic_search
from adapters.kafka.topic_search import KafkaTopicSearch
from application.errors import BrokerUnavailableError
from integration.conftest import create_topic
from integration.kafka.test_topic_tail import publish_raw_header_name
from support.proxy import proxy

MANY = 20_000
USERS = [f"user_{number}" for number in range(400)]
"""Some are the beginning of others: `user_1`, `user_10`."""


async def produce(address, topic, records, **options):
    """Write pairs of key and value, each into the partition that every client chooses for the key."""
    producer = AIOKafkaProducer(bootstrap_servers=address, linger_ms=5, **options)
    await producer.start()
    try:
        if "transactional_id" in options:
            await producer.begin_transaction()
        for sent in [await producer.send(topic, value, key=key.encode()) for key, value in records]:
            await sent
        if "transactional_id" in options:
            await producer.commit_transaction()
    finally:
        await producer.stop()


async def roll_back(address, topic, records):
    producer = AIOKafkaProducer(bootstrap_servers=address, transactional_id=f"t-{uuid4()}")
    await producer.start()
    try:
        await producer.begin_transaction()
        for key, value in records:
            await producer.send_and_wait(topic, value, key=key.encode())
        await producer.abort_transaction()
    finally:
        await producer.stop()


async def everything(address, topic, partitions=6):
    """Return what a consumer sees of each key, read record by record."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=address, isolation_level="read_committed", auto_offset_reset="earliest"
    )
    await consumer.start()
    try:
        assigned = [TopicPartition(topic, number) for number in range(partitions)]
        consumer.assign(assigned)
        ends = await consumer.end_offsets(assigned)
        found = defaultdict(list)
        while [each for each in assigned if await consumer.position(each) < ends[each]]:
            for batch in (await consumer.getmany(timeout_ms=500)).values():
                for record in batch:
                    found[record.key.decode()].append((record.partition, record.offset, record.value, record.timestamp))
        return found
    finally:
        await consumer.stop()


def seen(search):
    return [(record.partition, record.offset, record.value, record.timestamp) for record in search.records]


def values(search):
    return [record.value for record in search.records]


async def find(address, topic, key, **options):
    return await KafkaTopicSearch([address]).by_key(topic, key, **{"all_partitions": False, **options})


@pytest.fixture(scope="module")
async def crowded(kafka_address):
    """A topic with 20,000 events: some in batches of many, some alone, some compressed, some of transactions."""
    topic = f"search-{uuid4()}"
    await create_topic(kafka_address, topic)
    drawn = random.Random(7)
    numbers = iter(range(MANY))
    for share, options in (
        (0.6, {"max_batch_size": 512 * 1024}),
        (0.2, {"compression_type": "gzip"}),
        (0.1, {"max_batch_size": 300}),
        (0.1, {"transactional_id": f"t-{uuid4()}"}),
    ):
        records = [
            (drawn.choice(USERS), b'{"n": %d, "text": "user_7 %s"}' % (next(numbers), b"x" * drawn.randrange(400)))
            for _ in range(int(MANY * share))
        ]
        await produce(kafka_address, topic, records, **options)
        await roll_back(kafka_address, topic, [("user_1", b"rolled back")])
    return topic, await everything(kafka_address, topic)


async def test_of_100_users_exactly_their_records_are_found_in_their_partition(kafka_address, crowded):
    topic, expected = crowded
    assert sum(map(len, expected.values())) == MANY

    for user in [*USERS[:20], *random.Random(1).sample(USERS[20:], 80)]:
        search = await find(kafka_address, topic, user)

        assert seen(search) == expected[user], user
        assert (search.partitions, len(search.searched)) == (6, 1)


async def test_in_all_partitions_the_same_is_found_and_on_request_what_was_rolled_back(kafka_address, crowded):
    topic, expected = crowded

    everywhere = await find(kafka_address, topic, "user_1", all_partitions=True)
    raw = await find(kafka_address, topic, "user_1", all_partitions=True, rolled_back=True)

    assert seen(everywhere) == expected["user_1"]
    assert list(everywhere.searched) == [0, 1, 2, 3, 4, 5]
    assert [record.value for record in raw.records if record.rolled_back] == [b"rolled back"] * 4
    assert [record.value for record in raw.records if not record.rolled_back] == values(everywhere)


async def test_small_answers_of_the_broker_are_put_together(kafka_address, crowded, monkeypatch):
    """So that batches are cut off, and a transaction's records and its end come in different answers."""
    topic, expected = crowded
    monkeypatch.setattr(topic_search, "_FETCH_BYTES", 10_000)

    assert seen(await find(kafka_address, topic, "user_1")) == expected["user_1"]


async def test_a_value_that_names_a_user_is_found_under_any_key(kafka_address, topic):
    await produce(
        kafka_address,
        topic,
        [
            ("sess_1", b'{"session": {"id": "sess_1", "user_id": "user_1"}}'),
            ("sess_2", b'{"session": {"id": "sess_2", "user_id": "user_10"}}'),
            ("sess_3", b'{"session":{"id":"sess_3","user_id":"user_1"}}'),
        ],
    )

    search = await KafkaTopicSearch([kafka_address]).mentioning(topic, "user_1")

    assert sorted(record.key for record in search.records) == [b"sess_1", b"sess_3"]


async def test_what_was_written_while_there_were_fewer_partitions_is_found_when_all_are_read(kafka_address):
    topic, user = f"grown-{uuid4()}", "user_e"
    await create_topic(kafka_address, topic, partitions=1)
    await produce(kafka_address, topic, [(user, b"1")])
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_address)
    await admin.start()
    await admin.create_partitions({topic: NewPartitions(8)})
    await admin.close()
    async with asyncio.timeout(60):
        while (await find(kafka_address, topic, user)).partitions != 8:
            await asyncio.sleep(0.05)
    await produce(kafka_address, topic, [(user, b"2")])

    one = await find(kafka_address, topic, user)
    every = await find(kafka_address, topic, user, all_partitions=True)

    assert one.searched != [0]
    assert (values(one), values(every)) == ([b"2"], [b"1", b"2"])


async def test_tombstones_odd_headers_and_records_without_a_key_are_no_obstacle(kafka_address, topic):
    producer = AIOKafkaProducer(bootstrap_servers=kafka_address)
    await producer.start()
    batch = producer.create_batch()
    odd = [("ce_type", None), ("ce_type", b"\xff"), ("", b"")]
    for key, value, headers in (
        (b"user_1", None, []),
        (None, b"user_1", []),
        (b"user_1", b"v", odd),
        (b"\xff", b"", []),
    ):
        assert batch.append(timestamp=None, key=key, value=value, headers=headers)
    await (await producer.send_batch(batch, topic, partition=3))
    await producer.stop()
    await publish_raw_header_name(kafka_address, topic, 3, b"\xff\xfe")

    search = await find(kafka_address, topic, "user_1", all_partitions=True)

    assert [(record.offset, record.value) for record in search.records] == [(0, None), (2, b"v")]
    assert search.records[1].headers["ce_type"] == "\ufffd"


async def test_a_record_that_cannot_be_taken_apart_is_told_if_it_may_be_the_user_s(kafka_address, topic):
    await publish_raw_header_name(kafka_address, topic, 0, b"\xff\xfe", key=b"user_1")
    await produce(kafka_address, topic, [("user_1", b"fine")])

    search = await find(kafka_address, topic, "user_1", all_partitions=True)

    assert sorted((record.readable, record.value) for record in search.records) == [(False, None), (True, b"fine")]


async def test_a_topic_that_grows_is_read_to_the_end_that_it_had(kafka_address, topic, monkeypatch):
    await produce(kafka_address, topic, [("user_1", b"%d" % number) for number in range(2000)])
    monkeypatch.setattr(topic_search, "_FETCH_BYTES", 5_000)
    stop = asyncio.Event()

    async def keep_writing():
        while not stop.is_set():
            await produce(kafka_address, topic, [("user_1", b"later")] * 50)

    writing = asyncio.create_task(keep_writing())
    async with asyncio.timeout(60):
        search = await find(kafka_address, topic, "user_1")
    stop.set()
    await writing

    assert values(search)[:2000] == [b"%d" % number for number in range(2000)]


async def test_what_is_not_committed_yet_is_left_out_and_not_waited_for(kafka_address, topic):
    await produce(kafka_address, topic, [("user_1", b"1")])
    producer = AIOKafkaProducer(bootstrap_servers=kafka_address, transactional_id=f"t-{uuid4()}")
    await producer.start()
    try:
        await producer.begin_transaction()
        await producer.send_and_wait(topic, b"open", key=b"user_1")
        async with asyncio.timeout(60):
            search = await find(kafka_address, topic, "user_1")
        await producer.abort_transaction()
    finally:
        await producer.stop()

    assert values(search) == [b"1"]


async def test_an_empty_topic_has_nothing_and_a_missing_one_is_told_and_not_made(kafka_address, topic):
    assert (await find(kafka_address, topic, "user_1", all_partitions=True)).records == []
    for _ in range(2):
        with pytest.raises(BrokerUnavailableError, match=rf"topic missing \({topic}-missing"):
            await find(kafka_address, f"{topic}-missing", "user_1")


async def test_brokers_out_of_reach_are_told():
    with pytest.raises(BrokerUnavailableError, match=r"out of reach \(127\.0\.0\.1:1: connection refused"):
        await find("127.0.0.1:1", "any", "user_1")


async def test_a_topic_whose_beginning_was_removed_is_read_from_there(kafka_address, topic):
    await produce(kafka_address, topic, [("user_1", b"%d" % number) for number in range(3)], max_batch_size=1)
    [partition] = (await find(kafka_address, topic, "user_1")).searched
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_address)
    await admin.start()
    await admin.delete_records({TopicPartition(topic, partition): RecordsToDelete(before_offset=2)})
    await admin.close()

    assert values(await find(kafka_address, topic, "user_1")) == [b"2"]


async def test_brokers_that_are_away_for_a_moment_during_the_reading_are_waited_for(kafka_address, topic):
    await produce(kafka_address, topic, [("user_1", b"1")])
    host, _, port = kafka_address.rpartition(":")
    with proxy(host, int(port)) as between:
        there = between.target

        def leave_for_a_moment(number, _):
            if number == 3:  # the first two connections were asked for the partitions
                between.target = ("127.0.0.1", 1)
                asyncio.get_running_loop().call_later(1, setattr, between, "target", there)

        between.tap = leave_for_a_moment

        assert values(await find(between.address, topic, "user_1")) == [b"1"]
