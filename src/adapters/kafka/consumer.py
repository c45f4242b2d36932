"""Looking at the topic, from outside any consumer group: nothing is committed and nobody's share is taken."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError
from attrs import frozen
from faststream.security import BaseSecurity

from adapters.kafka.connections import CLOSE_S, close_client
from adapters.kafka.connectivity import Silence, answering, diagnose, unavailable
from adapters.kafka.topics import administering
from anomalyze_auth.kafka.security import client_options
from application.errors import BrokerUnavailableError
from application.failure import Trouble
from application.relay.topic_tail import Record

_REQUEST_MS = 10_000


_FOUND_S = 2.0
"""How long a partition's next record may take while we look for the one that cannot be read."""


@frozen
class KafkaTopicTail:
    """`TopicTail` on a consumer of no group."""

    _consumer: AIOKafkaConsumer
    _partitions: Sequence[TopicPartition]

    async def next(self) -> Record:
        """See `TopicTail.next`."""
        while True:
            try:
                return _record(await self._consumer.getone())
            except KafkaError as error:
                raise BrokerUnavailableError(f"Reading the topic failed: {error}") from error
            except ValueError:  # a UnicodeDecodeError is one
                if record := await self._unreadable():
                    return record

    async def _unreadable(self) -> Record | None:
        """Pass over the record that cannot be read, which aiokafka would meet again and again.

        Returns it, or a record that another partition had in the meantime; none when there was neither.
        """
        for partition in self._partitions:
            try:
                async with asyncio.timeout(_FOUND_S):
                    return _record(await self._consumer.getone(partition))
            except TimeoutError:
                continue
            except ValueError:
                offset = await self._consumer.position(partition)
                self._consumer.seek(partition, offset + 1)
                return Record(partition=partition.partition, offset=offset, readable=False)
        return None

    async def length(self) -> int:
        """See `TopicTail.length`."""
        ends: Mapping[TopicPartition, int] = await self._consumer.end_offsets(self._partitions)
        return sum(ends.values())


def _record(message: ConsumerRecord[bytes | None, bytes | None]) -> Record:
    last = dict(message.headers)
    return Record(
        partition=message.partition,
        offset=message.offset,
        key=message.key,
        headers={name: value.decode("utf-8", "replace") for name, value in last.items() if value is not None},
        value=message.value,
    )


async def _partitions_of(
    bootstrap_servers: Sequence[str], topic: str, security: BaseSecurity | None
) -> list[TopicPartition]:
    """Return the topic's partitions; none when there is no such topic."""
    async with administering(bootstrap_servers, security) as (admin, _):
        # By listing all: asking for a topic by name can make a broker create it.
        for found in await admin.describe_topics():
            if found["topic"] == topic:
                return sorted(TopicPartition(topic, entry["partition"]) for entry in found["partitions"])
        return []


@asynccontextmanager
async def tail_topic(
    bootstrap_servers: Sequence[str], topic: str, security: BaseSecurity | None, *, from_beginning: bool
) -> AsyncIterator[KafkaTopicTail]:
    """Stand at the topic's beginning, or at its end: what is written after entering is then what comes next.

    Raises:
        BrokerUnavailableError: the brokers are out of reach or refuse, or there is no such topic.
    """
    partitions = await _partitions_of(bootstrap_servers, topic, security)
    if not partitions:
        raise BrokerUnavailableError(f"There is no topic {topic} at {', '.join(bootstrap_servers)}.")
    options = client_options(security)
    consumer = AIOKafkaConsumer(
        bootstrap_servers=[await answering(bootstrap_servers, options)],
        request_timeout_ms=_REQUEST_MS,
        fetch_max_wait_ms=100,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        **options,
    )
    try:
        try:
            await consumer.start()
            consumer.assign(partitions)
            seek = consumer.seek_to_beginning if from_beginning else consumer.seek_to_end
            if not await seek(*partitions):
                raise BrokerUnavailableError(f"The brokers did not say where {topic} begins and ends.")
        except (KafkaError, OSError) as error:
            found = await diagnose(bootstrap_servers, options, topic)
            raise unavailable([found or Silence("", Trouble.OTHER, type(error).__name__)]) from error
        yield KafkaTopicTail(consumer, partitions)
    finally:
        stopping = asyncio.create_task(consumer.stop())
        await asyncio.wait({stopping}, timeout=CLOSE_S)
        if not stopping.done():  # a broker that does not read its requests
            await close_client(consumer._client)  # noqa: SLF001
            stopping.cancel()
