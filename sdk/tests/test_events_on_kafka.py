"""The consumer side against a real broker: aiokafka by hand, and FastStream."""

import asyncio
import contextlib
import itertools
import json
from collections.abc import AsyncIterator, Sequence

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from faststream import AckPolicy
from faststream.kafka import KafkaBroker

from anomalyze_auth.consumer import InMemoryLastSeen, Outcome, UserEvents, any_record
from anomalyze_auth.events import UnusableEvent, UserDeleted, UserEvent
from anomalyze_auth.state import decode_state

_NUMBERS = itertools.count(1)


def message(kind: str, user_id: str, version: int) -> tuple[bytes, bytes, list[tuple[str, bytes]]]:
    """Key, value and headers as the auth service's relay sends them."""
    attributes = {
        "ce_specversion": "1.0",
        "ce_id": f"00000000-0000-4000-8000-{version:012}",
        "ce_source": "/auth-service",
        "ce_type": f"anomalyze.user.{kind}",
        "ce_subject": user_id,
        "ce_time": "2026-11-23T10:00:00.000Z",
        "ce_partitionkey": user_id,
        "ce_sequence": f"{version:020}",
        "content-type": "application/json",
    }
    data = {"user": {"id": user_id, "version": version}}
    headers = [(name, text.encode()) for name, text in attributes.items()]
    return user_id.encode(), json.dumps(data).encode(), headers


# At least once: some come twice, and a relay that lost its acknowledgement begins again further back.
DELIVERED = [
    message("created.v1", "user_a", 1),
    message("created.v1", "user_a", 1),
    message("updated.v1", "user_a", 2),
    message("created.v1", "user_b", 1),
    message("created.v1", "user_a", 1),
    message("updated.v1", "user_a", 2),
    message("updated.v2", "user_a", 3),
    message("updated.v1", "user_b", 2),
    message("deleted.v1", "user_a", 4),
    message("updated.v1", "user_a", 2),
    message("deleted.v1", "user_b", 3),
]
ONCE_IN_ORDER = {"user_a": [1, 2, 4], "user_b": [1, 2, 3]}


@pytest.fixture
async def topic(kafka_address: str) -> AsyncIterator[str]:
    """A topic of three partitions that holds DELIVERED."""
    name = f"sdk-user-events-{next(_NUMBERS)}"
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_address)
    await admin.start()
    await admin.create_topics([NewTopic(name, num_partitions=3, replication_factor=1)])
    async with AIOKafkaProducer(bootstrap_servers=kafka_address) as producer:
        for key, value, headers in DELIVERED:
            await producer.send_and_wait(name, value, key=key, headers=headers)
    yield name
    await admin.delete_topics([name])
    await admin.close()


class Seen:
    """A handler that notes what it is given and says when it has seen all there is."""

    def __init__(self) -> None:
        self.versions: dict[str, list[int]] = {}
        self.complete = asyncio.Event()

    async def __call__(self, event: UserEvent) -> None:
        self.versions.setdefault(event.user_id, []).append(event.version)
        gone = isinstance(event, UserDeleted)
        if gone and len(self.versions) == 2 and all(len(seen) >= 3 for seen in self.versions.values()):
            self.complete.set()


async def test_with_aiokafka_each_version_of_each_user_is_handled_once_and_in_order(kafka_address, topic):
    seen = Seen()
    events = UserEvents(InMemoryLastSeen())
    outcomes = []
    async with AIOKafkaConsumer(
        topic, bootstrap_servers=kafka_address, group_id=topic, auto_offset_reset="earliest"
    ) as consumer:
        async with asyncio.timeout(30):
            for _ in DELIVERED:
                record = await consumer.getone()
                outcomes.append(await events.deliver(record.headers, record.value, seen))

    assert seen.versions == ONCE_IN_ORDER
    assert outcomes.count(Outcome.HANDLED) == 6
    assert outcomes.count(Outcome.DUPLICATE) == 4
    assert outcomes.count(Outcome.UNKNOWN) == 1


async def test_with_faststream_each_version_of_each_user_is_handled_once_and_in_order(kafka_address, topic):
    seen = Seen()
    broker = KafkaBroker(kafka_address)
    events = UserEvents(InMemoryLastSeen())
    broker.subscriber(topic, group_id=topic, auto_offset_reset="earliest", ack_policy=AckPolicy.NACK_ON_ERROR)(
        events.subscriber(seen)
    )
    async with broker:
        await broker.start()
        async with asyncio.timeout(30):
            await seen.complete.wait()

    assert seen.versions == ONCE_IN_ORDER


async def test_with_faststream_an_event_that_failed_comes_again_before_later_ones(kafka_address, topic):
    seen = Seen()
    failures = iter([True, True])

    async def unlucky(event: UserEvent) -> None:
        if event.version == 2 and next(failures, False):
            raise ConnectionError
        await seen(event)

    broker = KafkaBroker(kafka_address)
    events = UserEvents(InMemoryLastSeen())
    broker.subscriber(topic, group_id=topic, auto_offset_reset="earliest", ack_policy=AckPolicy.NACK_ON_ERROR)(
        events.subscriber(unlucky)
    )
    async with broker:
        await broker.start()
        async with asyncio.timeout(30):
            await seen.complete.wait()

    assert seen.versions == ONCE_IN_ORDER
    assert next(failures, None) is None


_KEY, _VALUE, _HEADERS = message("updated.v1", "user_z", 5)
STRANGE: list[tuple[bytes | None, bytes | None, Sequence[tuple[str, bytes | None]]]] = [
    (_KEY, _VALUE, [(name, None) for name, _ in _HEADERS]),
    (_KEY, _VALUE, [("ce_id", None), *_HEADERS[2:]]),
    (_KEY, _VALUE, [*_HEADERS, ("ce_id", b"another")]),
    (_KEY, _VALUE, [(name, b"\xff") for name, _ in _HEADERS]),
    (_KEY, _VALUE, []),
    (None, None, []),
    (None, b"\xff\xfe", [("content-type", b"application/json")]),
    (_KEY, b"not JSON", _HEADERS),
    (_KEY, b"", _HEADERS),
    (_KEY, None, _HEADERS),
    (_KEY, b'{"user":{"id":"user_z","version":' + b"9" * 400 + b"}}", _HEADERS),
    (_KEY, _VALUE, [("reply_to", b"\xff"), ("correlation_id", None), ("content-type", b"text/plain"), *_HEADERS[:2]]),
]


async def strange_then_delivered(kafka_address: str, topic: str) -> None:
    """Behind DELIVERED: what no event is, and an event of ours with foreign headers that are worse than its own."""
    foreign: list[tuple[str, bytes | None]] = [("trace", None), ("x", b"\xff"), ("x", b""), ("reply_to", None)]
    async with AIOKafkaProducer(bootstrap_servers=kafka_address) as producer:
        batch = producer.create_batch()  # other clients send a record without key and value too
        for key, value, headers in STRANGE:
            batch.append(key=key, value=value, timestamp=None, headers=headers)
        await (await producer.send_batch(batch, topic, partition=0))
        await producer.send_and_wait(topic, _VALUE, key=_KEY, headers=[*_HEADERS, *foreign], partition=0)


async def test_with_aiokafka_whatever_is_in_a_record_is_an_unusable_event_at_worst(kafka_address, topic):
    await strange_then_delivered(kafka_address, topic)
    seen, unusable = Seen(), []

    async def note(error: UnusableEvent) -> None:
        unusable.append(error)

    events = UserEvents(InMemoryLastSeen(), on_unusable=note)
    async with AIOKafkaConsumer(topic, bootstrap_servers=kafka_address, auto_offset_reset="earliest") as consumer:
        async with asyncio.timeout(30):
            for _ in range(len(DELIVERED) + len(STRANGE) + 1):
                record = await consumer.getone()
                await events.deliver(record.headers, record.value, seen)
                with contextlib.suppress(UnusableEvent):
                    decode_state(record.headers, record.key, record.value)

    assert seen.versions == {**ONCE_IN_ORDER, "user_z": [5]}
    assert len(unusable) == len(STRANGE)


async def test_with_faststream_whatever_is_in_a_record_is_put_aside_and_the_next_one_is_handled(kafka_address, topic):
    await strange_then_delivered(kafka_address, topic)
    unusable: list[UnusableEvent] = []
    seen: dict[str, list[int]] = {}
    done = asyncio.Event()

    async def note(error: UnusableEvent) -> None:
        unusable.append(error)

    async def handle(event: UserEvent) -> None:
        seen.setdefault(event.user_id, []).append(event.version)
        if seen == {**ONCE_IN_ORDER, "user_z": [5]}:
            done.set()

    broker = KafkaBroker(kafka_address)
    events = UserEvents(InMemoryLastSeen(), on_unusable=note)
    broker.subscriber(
        topic,
        group_id=topic,
        auto_offset_reset="earliest",
        ack_policy=AckPolicy.NACK_ON_ERROR,
        parser=any_record,
    )(events.subscriber(handle))
    async with broker:
        await broker.start()
        async with asyncio.timeout(30):
            await done.wait()

    assert len(unusable) == len(STRANGE)


async def test_a_new_process_with_a_store_of_its_own_goes_on_where_the_old_one_stopped(kafka_address, topic):
    last_seen = InMemoryLastSeen()
    first, second = Seen(), Seen()
    for seen in (first, second):
        async with AIOKafkaConsumer(topic, bootstrap_servers=kafka_address, auto_offset_reset="earliest") as consumer:
            events = UserEvents(last_seen)
            async with asyncio.timeout(30):
                for _ in DELIVERED:
                    record = await consumer.getone()
                    await events.deliver(record.headers, record.value, seen)

    assert first.versions == ONCE_IN_ORDER
    assert second.versions == {}
