"""Publishes a round's messages: a batch of records for each partition, with one acknowledgement."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache

from aiokafka.errors import KafkaError, UnknownTopicOrPartitionError
from aiokafka.partitioner import murmur2
from aiokafka.structs import RecordMetadata
from attrs import field, frozen
from faststream.kafka.exceptions import BatchBufferOverflowException

from adapters.kafka.broker import Record, RelayBroker
from adapters.kafka.client_tasks import take_error
from application.relay.messages import OutboxMessage, Pending

_HASHES = 2**16  # hashing a key in Python is a fifth of the cost of a message; 12 MB when full


@frozen
class SendResults:
    """The results of a batch, by the id of the message; a message that was not queued is in neither."""

    arrived: set[int] = field(factory=set)
    failed: dict[int, BaseException] = field(factory=dict)
    unsent: set[int] = field(factory=set)  # those that failed before anything was sent
    ends: dict[int, int] = field(factory=dict)
    """The offset behind the last record that arrived, by partition (of one topic)."""

    def fail(self, items: Iterable[Pending], failure: BaseException) -> None:
        self.failed.update(dict.fromkeys((item.id for item in items), failure))


@frozen
class _Sent:
    """The first messages of a partition, accepted or refused together, and those behind them."""

    items: list[Pending]
    left: list[Pending]
    arrival: "asyncio.Future[RecordMetadata]"

    @property
    def failure(self) -> BaseException | None:
        return self.arrival.exception()

    def note(self, results: SendResults) -> None:
        if not self.arrival.done() or self.arrival.cancelled():
            return
        if self.failure:
            results.fail(self.items, self.failure)
            return
        results.arrived.update(item.id for item in self.items)
        if metadata := self.arrival.result():
            results.ends[metadata.partition] = metadata.offset + len(self.items)


async def publish_in_order(
    broker: RelayBroker,
    batch: Iterable[tuple[str, Pending]],
    record: Callable[[OutboxMessage], Record],
    results: SendResults,
) -> None:
    """Publish each message to its topic, in the partition of its key; note the result, also when cancelled.

    A partition's next batch is sent when the one before it is acknowledged, and none is sent behind one that failed: a
    broker checks the sequence only of a producer of which it has stored a batch, so it would accept a batch behind a
    new producer's refused first one.
    """
    waiting = await _by_partition(broker, batch, results)
    while waiting:
        under_way: dict[tuple[str, int], _Sent] = {}
        try:
            for (topic, partition), items in waiting.items():
                # For one partition at a time: Python's collector would scan all records of a round repeatedly.
                records = [record(item.message) for item in items]
                try:
                    count, arrival = await _hand_over(broker, topic, partition, records)
                except KafkaError as error:
                    results.fail(items, error)
                else:
                    under_way[topic, partition] = _Sent(items[:count], items[count:], arrival)
            await asyncio.gather(*(sent.arrival for sent in under_way.values()), return_exceptions=True)
        finally:
            for sent in under_way.values():
                sent.note(results)
        waiting = {target: sent.left for target, sent in under_way.items() if sent.left and not sent.failure}


async def _by_partition(
    broker: RelayBroker, batch: Iterable[tuple[str, Pending]], results: SendResults
) -> dict[tuple[str, int], list[Pending]]:
    """Divide a batch among the partitions that every Kafka client chooses by default (murmur2, DefaultPartitioner)."""
    partitions: dict[str, Sequence[int] | KafkaError] = {}
    found: dict[tuple[str, int], list[Pending]] = {}
    for topic, item in batch:
        if topic not in partitions:
            try:
                partitions[topic] = sorted(await broker.producer.partitions_for(topic))
            except KafkaError as error:
                partitions[topic] = error
        among = partitions[topic]
        if isinstance(among, KafkaError):
            results.fail([item], among)
            continue
        target = topic, partition_of(item.message.key, among)
        found.setdefault(target, []).append(item)
    return found


async def _hand_over(
    broker: RelayBroker, topic: str, partition: int, records: Sequence[Record]
) -> "tuple[int, asyncio.Future[RecordMetadata]]":
    """Queue as many of the records as one batch holds; return how many, and the future of their acknowledgement.

    KafkaError: they were not queued.
    """
    count = len(records)
    while True:
        try:
            # Our messages have no correlation id; without one FastStream generates a random one for each batch.
            arrival = await broker.publish_batch(
                *records[:count], topic=topic, partition=partition, correlation_id=topic, no_confirm=True
            )
        except BatchBufferOverflowException as full:
            count = full.message_position
        except AssertionError:  # the topic was recreated meanwhile with fewer partitions
            raise UnknownTopicOrPartitionError from None
        else:
            # If a later batch cannot be queued, this one is not awaited.
            arrival.add_done_callback(take_error)
            return count, arrival


def partition_of(key: str, partitions: Sequence[int]) -> int:
    """Return the one of the topic's partitions, in rising order, that all events of this key are in."""
    return partitions[_hash(key) % len(partitions)]


@lru_cache(_HASHES)
def _hash(key: str) -> int:
    return int(murmur2(key.encode())) & 0x7FFFFFFF
