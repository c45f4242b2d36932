"""Closes a hole in the idempotent producer: a batch of a partition may land although one before it was refused."""

from collections.abc import Collection
from typing import Any

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.producer.message_accumulator import MessageBatch

from adapters.kafka.producer import fail


def stop_behind_failures(client: AIOKafkaProducer) -> None:
    """Make the producer fail, unsent, every batch behind one of the same partition that failed.

    A broker refuses a batch whose sequence does not follow, but only from a producer that it has in memory. It takes
    any sequence from one it never stored a batch of (Kafka's ProducerAppendInfo.checkSequence), so after the first
    batch of a new producer was refused, or expired without a leader, the second one would land and be the first that
    a consumer sees. The check is made where a batch is picked, because a callback would come one loop turn too late.
    """
    accumulator = client._message_accumulator  # noqa: SLF001
    pop, drain = accumulator._pop_batch, accumulator.drain_by_nodes  # noqa: SLF001
    newest: dict[TopicPartition, MessageBatch] = {}

    def pop_and_remember(partition: TopicPartition) -> MessageBatch:
        newest[partition] = pop(partition)
        return newest[partition]

    def drain_what_may_follow(ignore_nodes: Collection[int], muted_partitions: Collection[Any] = frozenset()) -> Any:
        for partition, batch in newest.items():
            error = batch.future.done() and batch.future.exception()
            if error:
                fail(accumulator._batches.pop(partition, ()), error)  # noqa: SLF001
        return drain(ignore_nodes, muted_partitions)

    accumulator._pop_batch = pop_and_remember  # noqa: SLF001
    accumulator.drain_by_nodes = drain_what_may_follow
