"""Reads the topic without a consumer group: no offset is committed, and no group is rebalanced."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRecord
from aiokafka import TopicPartition as AIOKafkaTopicPartition
from aiokafka.errors import KafkaError
from attrs import frozen
from faststream.kafka import KafkaBroker, TopicPartition
from faststream.kafka.message import FAKE_CONSUMER, KafkaMessage
from faststream.kafka.subscriber.usecase import DefaultSubscriber
from faststream.security import BaseSecurity

from adapters.kafka.client_tasks import ClientTasks
from adapters.kafka.connectivity import diagnose, find_topic, why_unavailable
from anomalyze_auth.kafka.security import broker_options, client_options
from application.errors import BrokerUnavailableError
from application.failure import Cause, Failure
from application.relay.ports import Record

_REQUEST_MS = 10_000
_POLL_S = 1.0  # how long one poll waits for a record; the partitions are checked between polls
_METADATA_MS = 1_000  # added partitions and a deleted topic are noticed within this time
_FOUND_S = 2.0  # how long to wait for a partition's next record when looking for the one that cannot be parsed


@frozen
class KafkaTopicTail:
    """`TopicTail` on a subscriber of no group."""

    subscriber: DefaultSubscriber
    topic: str
    diagnose: Callable[[], Awaitable[Failure | None]]

    async def next(self) -> Record:
        while True:
            try:
                await self._follow_partitions()
                if message := await self.subscriber.get_one(timeout=_POLL_S):
                    read: Any = message.raw_message
                    return record_of(read, read.partition)
            except KafkaError as error:
                raise BrokerUnavailableError(f"reading failed: {type(error).__name__}", Cause.OTHER) from error
            except ValueError:  # a UnicodeDecodeError is one
                if record := await self._unreadable():
                    return record

    async def _follow_partitions(self) -> None:
        """Assign added partitions, or those of a topic that was recreated, from the beginning.

        BrokerUnavailableError: the topic was deleted.
        """
        consumer, before = self._consumer, self._consumer.assignment()
        now = {AIOKafkaTopicPartition(self.topic, number) for number in consumer.partitions_for_topic(self.topic) or ()}
        if now == before:
            return
        if not now:  # deleted, or a leader is being elected
            failure = await self.diagnose()
            if failure and failure.cause is Cause.TOPIC_MISSING:
                raise BrokerUnavailableError(failure.detail, Cause.TOPIC_MISSING)
            return
        read = {each: await consumer.position(each) for each in before} if now > before else {}
        consumer.assign([*now])
        for each, position in read.items():
            consumer.seek(each, position)
        await consumer.seek_to_beginning(*now - read.keys())

    async def _unreadable(self) -> Record | None:
        """Skip the record that cannot be parsed; return it, or one that came meanwhile, or None."""
        for partition in self._consumer.assignment():
            try:
                found = await self._consumer.getmany(partition, timeout_ms=int(_FOUND_S * 1000), max_records=1)
            except ValueError:
                offset = await self._consumer.position(partition)
                self._consumer.seek(partition, offset + 1)
                return Record(partition=partition.partition, offset=offset, readable=False)
            for records in found.values():
                return record_of(records[0], partition.partition)
        return None

    async def length(self) -> int:
        return sum((await self._consumer.end_offsets(self._consumer.assignment())).values())

    async def seek(self, *, from_beginning: bool) -> bool:
        """Seek to the beginning or the end of all partitions; false if the brokers did not return the offsets."""
        seek = self._consumer.seek_to_beginning if from_beginning else self._consumer.seek_to_end
        return bool(await seek(*self._consumer.assignment()))

    @property
    def _consumer(self) -> AIOKafkaConsumer:
        assert self.subscriber.consumer  # noqa: S101  # it was started
        return self.subscriber.consumer


@asynccontextmanager
async def tail_topic(
    bootstrap_servers: Sequence[str], topic: str, security: BaseSecurity | None, *, from_beginning: bool
) -> AsyncIterator[KafkaTopicTail]:
    """See `OpenTopicTail`."""
    options = client_options(security)
    server, known = await find_topic(bootstrap_servers, options, topic)
    broker = KafkaBroker(
        server,
        **broker_options(security),
        request_timeout_ms=_REQUEST_MS,
        metadata_max_age_ms=_METADATA_MS,
        consumer_only=True,
        allow_auto_create_topics=False,
        logger=None,
    )
    tasks = ClientTasks()
    try:
        try:
            subscriber = broker.subscriber(
                partitions=[TopicPartition(topic, entry["partition"]) for entry in known.topics[topic].partitions],
                auto_offset_reset="earliest",
                fetch_max_wait_ms=100,
                parser=_parsed,
            )
            with tasks.owned():
                await broker.start()
            tail = KafkaTopicTail(subscriber, topic, partial(diagnose, bootstrap_servers, options, topic))
            if not await tail.seek(from_beginning=from_beginning):
                raise BrokerUnavailableError(f"offsets of {topic}", Cause.NO_ANSWER)
        except (KafkaError, OSError) as error:
            raise await why_unavailable(error, bootstrap_servers, options, topic) from error
        yield tail
    finally:
        await tasks.close(broker.stop())


async def _parsed(record: "ConsumerRecord[bytes | None, bytes | None]") -> KafkaMessage:
    """Parse whatever a producer can write; FastStream's own parser fails at a header without a value or not UTF-8."""
    return KafkaMessage(record, record.value or b"", consumer=FAKE_CONSUMER)


def record_of(record: Any, partition: int, *, rolled_back: bool = False) -> Record:
    """Return one of aiokafka's records, of a consumer or of a fetched batch."""
    headers = dict(record.headers)
    return Record(
        partition=partition,
        offset=record.offset,
        key=record.key,
        headers={name: value.decode("utf-8", "replace") for name, value in headers.items() if value is not None},
        value=record.value,
        timestamp=record.timestamp or 0,
        rolled_back=rolled_back,
    )
