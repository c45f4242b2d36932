"""Looking at a topic from outside: how much is in it, and whether each user's events are in order."""

import asyncio
import re
import time
from collections.abc import Callable

from aiokafka import AIOKafkaConsumer, TopicPartition
from attrs import frozen

from bench.stage import PARTITIONS, Stage

_VERSION = re.compile(rb'"version": ?([0-9]+)')
_POLL_S = 0.01


@frozen(kw_only=True)
class Filling:
    """How a topic filled: `events` arrived within `seconds`, counted from when the first of all was seen."""

    events: int
    seconds: float

    @property
    def rate(self) -> float:
        return self.events / self.seconds


def fill(stage: Stage, topic: str, total: int, *, timeout_s: float, begin: Callable[[], object] = int) -> Filling:
    """Call `begin`, then wait until the topic has `total` more messages than before.

    The brokers' end offsets say so: asking costs the machine next to nothing, and counts what is acknowledged.

    Raises:
        TimeoutError: it did not happen in time.
    """
    return asyncio.run(_fill(stage, topic, total, timeout_s, begin))


async def _fill(stage: Stage, topic: str, total: int, timeout_s: float, begin: Callable[[], object]) -> Filling:
    consumer, partitions = await _consumer(stage, topic)
    try:
        before = await _length(consumer, partitions)
        deadline = time.monotonic() + timeout_s
        begin()
        first_at, first = 0.0, 0
        while True:
            length = await _length(consumer, partitions) - before
            now = time.monotonic()
            if length and not first:
                first_at, first = now, length
            if length >= total:
                return Filling(events=length - first or length, seconds=now - first_at or _POLL_S)
            if now > deadline:
                raise TimeoutError(f"{length} of {total} events after {timeout_s:.0f} s")
            await asyncio.sleep(_POLL_S)
    finally:
        await consumer.stop()


def out_of_order(stage: Stage, topic: str, *, skip: int = 0) -> str:
    """Read the whole topic and say how it keeps each key's versions: 1, 2, 3 … with repetitions left out."""
    return asyncio.run(_out_of_order(stage, topic, skip))


async def _out_of_order(stage: Stage, topic: str, skip: int) -> str:
    consumer, partitions = await _consumer(stage, topic)
    last: dict[bytes, int] = {}
    gaps = repeated = read = 0
    try:
        ends = await consumer.end_offsets(partitions)
        await consumer.seek_to_beginning(*partitions)
        # Not by counting: the markers of transactions have offsets too.
        while [partition for partition in partitions if await consumer.position(partition) < ends[partition]]:
            for records in (await consumer.getmany(timeout_ms=1000)).values():
                read += len(records)
                for record in records:
                    found = _VERSION.search(record.value)
                    version, seen = int(found[1]) if found else 0, last.get(record.key, 0)
                    # Behind no gap, what is not newer has been there before.
                    repeated += version <= seen
                    gaps += version > seen + 1
                    last[record.key] = max(version, seen)
    finally:
        await consumer.stop()
    if gaps:
        return f"OUT OF ORDER OR LOST: {gaps} of {read - skip} came before the one before it"
    return "in order, none missing" + (f", {repeated} repeated" if repeated else "")


async def _consumer(stage: Stage, topic: str) -> tuple[AIOKafkaConsumer, list[TopicPartition]]:
    consumer = AIOKafkaConsumer(bootstrap_servers=stage.kafka.bootstrap_servers, auto_offset_reset="earliest")
    await consumer.start()
    partitions = [TopicPartition(topic, number) for number in range(PARTITIONS)]
    consumer.assign(partitions)
    return consumer, partitions


async def _length(consumer: AIOKafkaConsumer, partitions: list[TopicPartition]) -> int:
    return sum((await consumer.end_offsets(partitions)).values())
