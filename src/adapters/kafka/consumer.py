"""Looking at the topic, from outside any consumer group: nothing is committed and nobody's share is taken."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from attrs import field, frozen
from faststream.kafka.security import parse_security
from faststream.security import BaseSecurity

from application.errors import BrokerUnavailableError

_REQUEST_MS = 10_000


@frozen(kw_only=True)
class Record:
    """One message as it stands in the topic."""

    partition: int
    offset: int
    key: bytes | None
    headers: Mapping[str, str]
    """The last one of each name; what is not UTF-8 in it is replaced."""
    value: bytes | None = field(repr=False)


@frozen
class TopicTail:
    """All partitions of a topic, read in the order each of them has; there is none between them."""

    _consumer: AIOKafkaConsumer
    _partitions: Sequence[TopicPartition]

    async def next(self) -> Record:
        """Return the next message, however long it takes to come.

        Raises:
            BrokerUnavailableError: the brokers do not let us read any more.
        """
        try:
            message = await self._consumer.getone()
        except KafkaError as error:
            raise BrokerUnavailableError(f"Reading the topic failed: {error}") from error
        return Record(
            partition=message.partition,
            offset=message.offset,
            key=message.key,
            headers={name: value.decode("utf-8", "replace") for name, value in message.headers},
            value=message.value,
        )

    async def length(self) -> int:
        """Return how many messages were ever written to the topic."""
        ends: Mapping[TopicPartition, int] = await self._consumer.end_offsets(self._partitions)
        return sum(ends.values())


async def partitions_of(
    bootstrap_servers: Sequence[str], topic: str, security: BaseSecurity | None
) -> list[TopicPartition]:
    """Return the topic's partitions; none when there is no such topic."""
    admin = AIOKafkaAdminClient(
        bootstrap_servers=list(bootstrap_servers), request_timeout_ms=_REQUEST_MS, **parse_security(security)
    )
    try:
        await admin.start()
        # By listing all: asking for a topic by name can make a broker create it.
        for found in await admin.describe_topics():
            if found["topic"] == topic:
                return sorted(TopicPartition(topic, entry["partition"]) for entry in found["partitions"])
        return []
    finally:
        await admin.close()


@asynccontextmanager
async def tail_topic(
    bootstrap_servers: Sequence[str], topic: str, security: BaseSecurity | None, *, from_beginning: bool
) -> AsyncIterator[TopicTail]:
    """Stand at the topic's beginning, or at its end: what is written after entering is then what comes next.

    Raises:
        BrokerUnavailableError: the brokers are out of reach or refuse, or there is no such topic.
    """
    consumer = AIOKafkaConsumer(
        bootstrap_servers=list(bootstrap_servers),
        request_timeout_ms=_REQUEST_MS,
        fetch_max_wait_ms=100,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        **parse_security(security),
    )
    try:
        try:
            partitions = await partitions_of(bootstrap_servers, topic, security)
            if not partitions:
                raise BrokerUnavailableError(f"There is no topic {topic} at {', '.join(bootstrap_servers)}.")
            await consumer.start()
            consumer.assign(partitions)
            seek = consumer.seek_to_beginning if from_beginning else consumer.seek_to_end
            if not await seek(*partitions):
                raise BrokerUnavailableError(f"The brokers did not say where {topic} begins and ends.")
        except (KafkaError, OSError) as error:
            raise BrokerUnavailableError(f"Kafka at {', '.join(bootstrap_servers)} is out of reach: {error}") from error
        yield TopicTail(consumer, partitions)
    finally:
        await consumer.stop()
