"""A round's messages as what aiokafka sends: one batch of records for each partition, with one acknowledgement."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import TypeAlias

from aiokafka import AIOKafkaProducer
from aiokafka.errors import UnknownTopicOrPartitionError
from aiokafka.partitioner import murmur2
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.structs import RecordMetadata
from attrs import field, frozen

from application.relay.messages import OutboxMessage, Pending

Record: TypeAlias = tuple[bytes | None, Sequence[tuple[str, bytes]]]
"""A message's value and headers."""

_HASHES = 2**16
"""Hashing a key in Python costs as much as a fifth of all else that a message costs; 12 MB when full."""


@frozen
class Share:
    """Messages that one partition takes, or refuses, together."""

    partition: int
    builder: BatchBuilder
    items: list[Pending] = field(factory=list)

    def takes(self, item: Pending, record: Record) -> bool:
        """Put the message in; there is no room for it in a share that is full."""
        value, headers = record
        key = item.message.key.encode()
        if self.builder.append(timestamp=None, key=key, value=value, headers=headers) is None:
            return False
        self.items.append(item)
        return True

    async def hand_over(self, client: AIOKafkaProducer, topic: str) -> "asyncio.Future[RecordMetadata]":
        """Queue it behind what its partition has; the future is done when the brokers acknowledged or refused it.

        Raises:
            KafkaError: it was not queued.
        """
        try:
            answer: asyncio.Future[RecordMetadata] = await client.send_batch(
                self.builder, topic, partition=self.partition
            )
        except AssertionError:  # the topic was made anew meanwhile, with fewer partitions
            raise UnknownTopicOrPartitionError from None
        # When a later share cannot be queued, nobody waits for this one any more.
        answer.add_done_callback(lambda done: done.cancelled() or done.exception())
        return answer


@frozen
class Fates:
    """What is known of each message of a batch, by its id; what was not handed over is in neither."""

    arrived: set[int] = field(factory=set)
    failed: dict[int, BaseException] = field(factory=dict)

    def note(self, items: Iterable[Pending], failure: BaseException | None) -> None:
        """All of a share have one fate."""
        ids = [item.id for item in items]
        if failure:
            self.failed.update(dict.fromkeys(ids, failure))
        else:
            self.arrived.update(ids)


async def shares_of(
    client: AIOKafkaProducer, topic: str, batch: Iterable[Pending], record: Callable[[OutboxMessage], Record]
) -> list[Share]:
    """Divide a batch among the topic's partitions; of one partition's shares, the earlier ones come first.

    The partition follows from the key as in every Kafka client that keeps to the default (murmur2, DefaultPartitioner).
    """
    partitions = sorted(await client.partitions_for(topic))
    shares: list[Share] = []
    filling: dict[int, Share] = {}
    for item in batch:
        partition = partition_of(item.message.key, partitions)
        made = record(item.message)
        share = filling.get(partition)
        if share is None or not share.takes(item, made):
            share = filling[partition] = Share(partition, client.create_batch())
            shares.append(share)
            share.takes(item, made)  # a new one has room for any first message
    return shares


def partition_of(key: str, partitions: Sequence[int]) -> int:
    """Return the one of the topic's partitions, in rising order, that all events of this key are in."""
    return partitions[_hash(key) % len(partitions)]


@lru_cache(_HASHES)
def _hash(key: str) -> int:
    return int(murmur2(key.encode())) & 0x7FFFFFFF
