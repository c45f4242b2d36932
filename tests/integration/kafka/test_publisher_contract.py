"""What `Publisher` promises a relay, held against the fake and against a real broker."""

import asyncio
import itertools
from collections.abc import AsyncIterator

import msgspec
import pytest
from aiokafka import AIOKafkaConsumer, ConsumerRecord
from aiokafka.admin import AIOKafkaAdminClient
from attrs import evolve

from adapters.kafka import publisher as publisher_module
from adapters.kafka.broker import Record, RelayBroker
from adapters.kafka.cloudevents import USER_TYPES, encode
from adapters.kafka.publisher import KafkaPublisher
from application.relay.lanes import lane_of
from application.relay.messages import OutboxMessage, Pending
from domain.sync_user import sync_user
from domain.user import UserId
from integration.conftest import create_topic
from support import servers
from support.memory import MemoryPublisher
from support.publishing import publisher_to
from support.users import snapshot

_ids = itertools.count(1)
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def pending(user: str, version: int, *, size: int = 0) -> Pending:
    created = encode(sync_user(None, snapshot(UserId(user), at=1_795_428_000_123)).events[0])
    message = evolve(created, version=version, payload=created.payload + b" " * size, traceparent=TRACE)
    return Pending(id=next(_ids), lane=lane_of(user), stored_at=0, message=message)


async def consume(bootstrap_servers: str, topic: str, count: int) -> list[ConsumerRecord]:
    """Everything in the topic, and not a message more than `count`."""
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=bootstrap_servers, auto_offset_reset="earliest")
    await consumer.start()
    try:
        records: list[ConsumerRecord] = []
        async with asyncio.timeout(60):
            while len(records) < count:
                for batch in (await consumer.getmany(timeout_ms=500)).values():
                    records += batch
        for batch in (await consumer.getmany(timeout_ms=300)).values():
            records += batch
        return records
    finally:
        await consumer.stop()


def versions(records: list[ConsumerRecord], user: str) -> list[int]:
    return [int(dict(r.headers)["ce_sequence"]) for r in records if r.key == user.encode()]


@pytest.fixture
async def kafka_publisher(kafka_address: str, topic: str) -> AsyncIterator[KafkaPublisher]:
    publisher = publisher_to(kafka_address, topic)
    yield publisher
    await publisher.aclose()


@pytest.fixture(params=["memory", "kafka"])
def publisher(request: pytest.FixtureRequest, kafka_publisher: KafkaPublisher):
    return MemoryPublisher() if request.param == "memory" else kafka_publisher


async def test_every_message_of_a_batch_is_acknowledged(publisher):
    batch = [pending(f"user_{number % 5}", number // 5 + 1) for number in range(50)]

    deliveries = await publisher.publish(batch)

    assert list(deliveries.acknowledged) == batch
    assert (list(deliveries.refused), deliveries.outage) == ([], None)


async def test_an_empty_batch_is_nothing(publisher):
    assert (await publisher.publish([])).outage is None


async def test_a_consumer_sees_each_keys_versions_in_order(kafka_publisher, kafka_address, topic):
    for start in (1, 41):
        await kafka_publisher.publish([pending(f"user_{n % 7}", start + n // 7) for n in range(7 * 40)])

    records = await consume(kafka_address, topic, 7 * 80)

    assert len(records) == 7 * 80
    for user in range(7):
        assert versions(records, f"user_{user}") == list(range(1, 81))


async def test_the_message_on_the_wire_is_a_binary_mode_cloudevent(kafka_publisher, kafka_address, topic):
    item = pending("user_29w83sxmDNGwOuEthce5gg56FcC", 3)
    await kafka_publisher.publish([item])

    [record] = await consume(kafka_address, topic, 1)

    assert record.key == b"user_29w83sxmDNGwOuEthce5gg56FcC"
    assert record.value == item.message.payload
    assert msgspec.json.decode(record.value)["user"]["email"] == "ada@example.org"
    assert {name: value.decode() for name, value in record.headers} == {
        "ce_specversion": "1.0",
        "ce_id": str(item.message.event_id),
        "ce_source": "/auth-service",
        "ce_type": "anomalyze.user.created.v1",
        "ce_subject": "user_29w83sxmDNGwOuEthce5gg56FcC",
        "ce_time": "2026-11-23T10:00:00.123Z",
        "ce_partitionkey": "user_29w83sxmDNGwOuEthce5gg56FcC",
        "ce_sequence": "00000000000000000003",
        "content-type": "application/json",
        "traceparent": TRACE,
    }


async def test_a_message_that_the_topic_cannot_take_is_refused_alone_and_order_is_kept(kafka_address, topic):
    small = f"{topic}-small"
    await create_topic(kafka_address, small, partitions=1, max_message_bytes="20000")
    publisher = publisher_to(kafka_address, small)
    batch = [pending("user_a", 1), pending("user_b", 1), pending("user_a", 2, size=50_000)]
    batch += [pending("user_a", 3), pending("user_b", 2)]

    deliveries = await publisher.publish(batch)
    afterwards = await publisher.publish([pending("user_a", 4)])
    await publisher.aclose()

    assert [refusal.pending for refusal in deliveries.refused] == [batch[2]]
    assert "TooLarge" in deliveries.refused[0].error
    assert list(deliveries.acknowledged) == [batch[0], batch[1], batch[3], batch[4]]
    assert deliveries.outage is None
    assert len(afterwards.acknowledged) == 1
    records = await consume(kafka_address, small, 5)
    assert versions(records, "user_a") == [1, 3, 4]
    assert versions(records, "user_b") == [1, 2]


async def test_a_record_that_a_broker_finds_invalid_is_put_aside_and_later_versions_arrive(
    kafka_address, topic, monkeypatch
):
    """A compacted topic takes no record without a key; ours all have one, so this one loses it on its way."""
    compacted = f"{topic}-compacted"
    await create_topic(kafka_address, compacted, partitions=1, cleanup_policy="compact")
    batch = [pending("user_a", 1), pending("user_a", 2), pending("user_b", 1), pending("user_a", 3)]
    record = publisher_module._record

    def without_the_second_key(message: OutboxMessage) -> Record:
        made = record(message)
        return made if message is not batch[1].message else Record(None, made.value, made.headers)  # type: ignore[arg-type]

    monkeypatch.setattr(publisher_module, "_record", without_the_second_key)
    publisher = publisher_to(kafka_address, compacted)

    deliveries = await publisher.publish(batch)
    await publisher.aclose()

    assert [(refusal.pending, refusal.error) for refusal in deliveries.refused] == [
        (batch[1], f"{compacted}: InvalidRecordError")
    ]
    assert list(deliveries.acknowledged) == [batch[0], batch[2], batch[3]]
    assert deliveries.outage is None
    assert versions(await consume(kafka_address, compacted, 3), "user_a") == [1, 3]


async def test_a_batch_that_is_too_large_only_as_a_whole_arrives_message_by_message(kafka_address, topic):
    small = f"{topic}-small"
    await create_topic(kafka_address, small, partitions=1, max_message_bytes="20000")
    publisher = publisher_to(kafka_address, small)
    batch = [pending("user_a", version, size=8_000) for version in range(1, 7)]

    deliveries = await publisher.publish(batch)
    await publisher.aclose()

    assert (list(deliveries.acknowledged), list(deliveries.refused)) == (batch, [])
    assert versions(await consume(kafka_address, small, 6), "user_a") == [1, 2, 3, 4, 5, 6]


async def test_a_missing_topic_is_an_outage_and_is_never_created(kafka_address, topic):
    missing = f"{topic}-missing"
    publisher = publisher_to(kafka_address, missing)

    deliveries = await publisher.publish([pending("user_a", 1)])

    assert str(deliveries.outage) == f"Kafka: topic missing ({missing})"
    assert list(deliveries.acknowledged) == []
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_address)
    await admin.start()
    assert missing not in await admin.list_topics()
    await admin.close()

    await create_topic(kafka_address, missing)
    deliveries = await publisher.publish([pending("user_a", 1)])
    await publisher.aclose()
    assert len(deliveries.acknowledged) == 1


async def test_a_broker_that_is_killed_and_comes_back_loses_and_reorders_nothing(monkeypatch):
    with servers.kafka() as server:
        await create_topic(server.address, "users", partitions=3)
        publisher = publisher_to(server.address, "users")
        sent = [pending(f"user_{n % 3}", n // 3 + 1) for n in range(30)]
        assert len((await publisher.publish(sent[:12])).acknowledged) == 12

        monkeypatch.setattr(publisher_module, "DEADLINE_S", 4)
        await asyncio.to_thread(server.kill)
        down = await publisher.publish(sent[12:20])
        await asyncio.to_thread(server.start)
        monkeypatch.undo()
        left = [item for item in sent[12:] if item not in down.acknowledged]
        async with asyncio.timeout(120):
            while left:
                deliveries = await publisher.publish(left)
                left = [item for item in left if item not in deliveries.acknowledged]
                await asyncio.sleep(0.5 if left else 0)
        await publisher.aclose()
        records = await consume(server.address, "users", 30)

    assert down.outage
    for user in range(3):
        seen: list[int] = []
        for version in versions(records, f"user_{user}"):
            if version > max(seen, default=0):
                seen.append(version)
        assert seen == list(range(1, 11))


async def test_a_relay_opens_no_admin_client_beside_its_producer(kafka_address, topic):
    broker = RelayBroker(kafka_address.split(","))
    publisher = KafkaPublisher(broker, topics=dict.fromkeys(USER_TYPES, topic))

    await publisher.publish([pending("user_a", 1)])
    admin = broker.config.broker_config.admin.admin_client
    await publisher.aclose()

    assert admin is None


async def test_a_broker_that_is_not_there_is_told_in_bounded_time():
    publisher = publisher_to("127.0.0.1:1", "users")

    deliveries = await publisher.publish([pending("user_a", 1)])

    assert str(deliveries.outage).startswith("Kafka: out of reach (127.0.0.1:1: ")
