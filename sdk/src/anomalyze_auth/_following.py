"""Read topics from a point in time, without a consumer group, and track when everything was read."""

import asyncio
import contextlib
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NoReturn, TypeAlias

import attrs
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

Record: TypeAlias = "ConsumerRecord[bytes | None, bytes | None]"

_ANSWER_MS = 5_000  # timeout of each request to a broker; after it, reading starts again
_START_S = 20.0
_ASK_EVERY_S = 0.25
_LOOK_EVERY_S = 0.05
_FETCH_WAIT_MS = 250  # a broker answers the requests of one connection in order, so each waits for a pending fetch
_METADATA_MS = 1_000  # within which added partitions and a deleted topic are noticed
_RECORDS_AT_ONCE = 200  # handled in one step: a few milliseconds, in which the event loop does nothing else
_STANDSTILL_S = 10.0
_CLOSE_S = 2.0
_SETTLE_S = 0.05


class TopicMissingError(Exception):
    """The topic does not exist, or the client may not describe it. The message is its name."""


class TopicChangedError(Exception):
    """Partitions were added, or the topic was deleted or created again: known offsets are void."""


@attrs.frozen(kw_only=True)
class Following:
    """The callbacks of `follow`."""

    take: Callable[[Record, float], None]  # called with each record and the time, in the order of its partition
    skip: Callable[[], None]  # called for each record that the client cannot read at all
    known: Callable[[float], None]  # called with a time of `clock`: all that the brokers had then was taken
    rest: Callable[[float], None]  # called with the time after each batch, several times a second on idle topics
    clock: Callable[[], float]  # monotonic seconds


async def follow(
    bootstrap_servers: Sequence[str], topics: Collection[str], since: float, following: Following, **connection: Any
) -> NoReturn:
    """Read what was published at `since` (seconds since 1970, by the records' timestamps) or later, until an error.

    After any error, call it again: it may then deliver records a second time. `connection`: further arguments of
    `AIOKafkaConsumer`.

    Raises:
        TopicMissingError: there is no such topic.
        TopicChangedError: a topic was changed or recreated meanwhile.
        KafkaError, OSError, TimeoutError: the brokers do not answer, or refuse.
    """
    consumer = AIOKafkaConsumer(
        bootstrap_servers=list(bootstrap_servers),
        enable_auto_commit=False,
        auto_offset_reset="none",
        # An event is final as soon as it is written, committed or not: it is in the service's database already.
        isolation_level="read_uncommitted",
        request_timeout_ms=_ANSWER_MS,
        fetch_max_wait_ms=_FETCH_WAIT_MS,
        metadata_max_age_ms=_METADATA_MS,
        **connection,
    )
    tasks: list[asyncio.Task[NoReturn]] = []
    try:
        async with asyncio.timeout(_START_S):
            await consumer.start()
            partitions = await _stand_at(consumer, topics, since)
        reader = _Reader(consumer, partitions, following)
        tasks = [asyncio.create_task(each) for each in (reader.read(), reader.ask(), reader.look())]
        ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in ended:
            if not task.cancelled() and (error := task.exception()):
                raise error
        raise ConnectionError("reading ended without an error")  # the client was closed by somebody else
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await _stop(consumer)


async def _stand_at(consumer: AIOKafkaConsumer, topics: Collection[str], since: float) -> list[TopicPartition]:
    there = await consumer.topics()
    for topic in topics:
        if topic not in there:
            raise TopicMissingError(topic)
    # The client's metadata has only topics that were asked for. Every topic has a partition 0.
    await consumer.end_offsets([TopicPartition(topic, 0) for topic in topics])
    partitions = _partitions(consumer, topics)
    # Before the offsets by time: records that are published in between then have offsets above these.
    ends = await consumer.end_offsets(partitions)
    found = await consumer.offsets_for_times(dict.fromkeys(partitions, int(since * 1000)))
    consumer.assign(partitions)
    for partition in partitions:
        first = found[partition]
        consumer.seek(partition, ends[partition] if first is None else first.offset)
    return partitions


def _partitions(consumer: AIOKafkaConsumer, topics: Collection[str]) -> list[TopicPartition]:
    return [
        TopicPartition(topic, number)
        for topic in sorted(topics)
        for number in sorted(consumer.partitions_for_topic(topic) or ())
    ]


@attrs.define
class _Reader:
    _consumer: AIOKafkaConsumer
    _partitions: list[TopicPartition]
    _following: Following

    async def read(self) -> NoReturn:
        following, consumer = self._following, self._consumer
        while True:
            try:
                batches = await consumer.getmany(timeout_ms=_FETCH_WAIT_MS, max_records=_RECORDS_AT_ONCE)
            except ValueError:
                if await self._stepped_over():
                    continue
                raise
            # No await from here to `rest`, so that a position never includes records that were not taken.
            now = following.clock()
            for records in batches.values():
                for record in records:
                    following.take(record, now)
            following.rest(now)
            await asyncio.sleep(0)  # with a full buffer `getmany` returns at once, every time

    async def _stepped_over(self) -> bool:
        """Take the records before one that aiokafka cannot read, and skip that one; return whether there was one.

        Such a record has a header whose name is not UTF-8. `getmany` fails at it every time, and never returns the
        records before it. The rest of its batch cannot be read either; it is of the same producer, which is not a
        relay, because all header names of a relay are ASCII.
        """
        for partition in self._partitions:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(2 * _FETCH_WAIT_MS / 1000):
                    while True:
                        try:
                            record = await self._consumer.getone(partition)
                        except ValueError:
                            self._following.skip()
                            self._consumer.seek(partition, await self._consumer.position(partition) + 1)
                            return True
                        self._following.take(record, self._following.clock())
        return False

    async def ask(self) -> NoReturn:
        """Ask the brokers for the end offsets, and report when everything up to them was taken."""
        while True:
            before = await self._positions()
            asked = self._following.clock()
            ends: Mapping[TopicPartition, int] = await self._consumer.end_offsets(self._partitions)
            if any(ends[partition] < before[partition] for partition in self._partitions):
                raise TopicChangedError("a topic ends before what was read of it")
            await self._reached(ends)
            self._following.known(asked)
            await asyncio.sleep(_ASK_EVERY_S)

    async def look(self) -> NoReturn:
        """Raise when the partitions change: more, or none while a topic is recreated."""
        topics = {partition.topic for partition in self._partitions}
        while _partitions(self._consumer, topics) == self._partitions:  # noqa: ASYNC110  (the client has no event)
            await asyncio.sleep(_LOOK_EVERY_S)
        raise TopicChangedError("a topic has other partitions than before")

    async def _reached(self, ends: Mapping[TopicPartition, int]) -> None:
        clock = self._following.clock
        positions, moved_at = await self._positions(), clock()
        while any(positions[partition] < end for partition, end in ends.items()):
            if clock() - moved_at > _STANDSTILL_S:
                raise TimeoutError(f"nothing was read for {_STANDSTILL_S:g} s although there is something")
            await asyncio.sleep(0.01)
            now = await self._positions()
            if now != positions:
                positions, moved_at = now, clock()

    async def _positions(self) -> dict[TopicPartition, int]:
        return {partition: await self._consumer.position(partition) for partition in self._partitions}


async def _stop(consumer: AIOKafkaConsumer) -> None:
    # `stop` may raise the error of a running fetch, and then leaves its client open and reconnecting forever.
    # Without an assignment the consumer ends its fetches first.
    if consumer.assignment():
        consumer.unsubscribe()
        await asyncio.sleep(_SETTLE_S)
    stopping = asyncio.create_task(consumer.stop())
    await asyncio.wait({stopping}, timeout=_CLOSE_S)
    if not stopping.done():  # a broker that does not read from its connection
        stopping.cancel()
    with contextlib.suppress(Exception, asyncio.CancelledError):
        await stopping
