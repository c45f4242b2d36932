"""Finding one user's records in a topic: bytes are compared first, and only batches that may hold one are decoded.

Decoding every record, as a consumer does, takes four times the CPU (`python -m bench history`).
"""

import asyncio
import struct
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import (
    CorruptRecordException,
    KafkaError,
    LeaderNotAvailableError,
    OffsetOutOfRangeError,
    TopicAuthorizationFailedError,
    UnsupportedCodecError,
    for_code,
)
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.protocol.metadata import MetadataRequest
from aiokafka.protocol.offset import OffsetRequest
from aiokafka.record.memory_records import MemoryRecords
from attrs import define, field, frozen
from faststream.security import BaseSecurity

from adapters.kafka.connectivity import Silence, address, answering, connection_to, diagnose, unavailable
from adapters.kafka.consumer import headers_of
from adapters.kafka.metadata import NOT_AUTHORIZED, UNKNOWN_TOPIC, described_on
from adapters.kafka.partition_batches import partition_of
from anomalyze_auth.kafka.security import client_options
from application.errors import BrokerUnavailableError
from application.failure import Cause
from application.history.ports import TopicSearch
from application.relay.topic_tail import Record

PATIENCE_S = 20.0
"""Without progress, until a partition's leader is given up: a failover takes a few seconds."""

_PAUSE_S = 0.2
_REQUEST_MS = 10_000
_WAIT_MS = 500
_FETCH_BYTES = 8 * 1024 * 1024
_LATEST, _EARLIEST = -1, -2
_READ_COMMITTED = 1

# Record batch (kafka.apache.org/documentation, "Record Batch"): base offset, length, magic, attributes, last offset
# delta, producer id. The first three stand at the same place in every version.
_HEAD = struct.Struct(">qi4xb4xhi16xq")
_LOG_OVERHEAD = 12
"""Bytes of a batch that its length does not count."""
_COMPRESSED, _TRANSACTIONAL, _CONTROL = 0x07, 0x10, 0x20
_MAGIC = 2


@frozen
class KafkaTopicSearch:
    """`SearchTopics` on one connection to one partition's leader after the other."""

    bootstrap_servers: Sequence[str]
    security: BaseSecurity | None = None

    async def by_key(self, topic: str, key: str, *, all_partitions: bool, rolled_back: bool = False) -> TopicSearch:
        """See `SearchTopics.by_key`."""
        wanted = key.encode()

        def choose(partitions: Sequence[int]) -> Sequence[int]:
            return partitions if all_partitions else [partition_of(key, partitions)]

        # With its length before it, as in a record: one user's id may be the beginning of another's.
        needle = _varint(len(wanted)) + wanted
        return await self._search(topic, needle, lambda record: record.key == wanted, choose, rolled_back=rolled_back)

    async def mentioning(self, topic: str, text: str) -> TopicSearch:
        """See `SearchTopics.mentioning`."""
        needle = f'"{text}"'.encode()
        return await self._search(topic, needle, lambda record: needle in (record.value or b""), list, rolled_back=True)

    async def since(self, topic: str, since_ms: int, take: Callable[[Any], object]) -> None:
        """Hand over aiokafka's record of all that was written at this time (ms) or later, partition by partition.

        Raises:
            BrokerUnavailableError: the brokers are out of reach, or do not let us read.
        """
        await self._search(topic, b"", lambda record: bool(take(record)), list, rolled_back=False, start=since_ms)

    async def _search(  # noqa: PLR0913  # what to look for, and where
        self,
        topic: str,
        needle: bytes,
        is_wanted: Callable[[Any], bool],
        choose: Callable[[Sequence[int]], Sequence[int]],
        *,
        rolled_back: bool,
        start: int = _EARLIEST,
    ) -> TopicSearch:
        partitions = sorted(entry["partition"] for entry in await self._partitions(topic))
        chosen = choose(partitions)
        records: list[Record] = []
        for partition in chosen:
            reading = _Reading(topic, partition, needle, is_wanted, rolled_back, start)
            await self._read(reading)
            records += reading.found
        return TopicSearch(topic=topic, partitions=len(partitions), searched=chosen, records=records)

    async def _read(self, reading: "_Reading") -> None:
        """Read to the end, going on where it was when the partition's leader changes or is lost."""
        while not reading.done:
            try:
                async with self._leader(reading.topic, reading.partition) as connection:
                    await reading.read(connection)
            except TopicAuthorizationFailedError as error:
                raise BrokerUnavailableError(f"reading {reading.topic}", Cause.NOT_AUTHORIZED) from error
            except UnsupportedCodecError as error:
                detail = f"{reading.topic} is compressed in a way that this client cannot read: {error}"
                raise BrokerUnavailableError(detail, Cause.CONFIGURATION) from error
            except BrokerUnavailableError:  # of whoever was asked for the leader
                if reading.stalled_s > PATIENCE_S:
                    raise
                await asyncio.sleep(_PAUSE_S)
            except (KafkaError, OSError) as error:
                if reading.stalled_s > PATIENCE_S:
                    raise await self._explained(error, reading.topic) from error
                await asyncio.sleep(_PAUSE_S)

    @asynccontextmanager
    async def _leader(self, topic: str, partition: int) -> AsyncIterator[AIOKafkaConnection]:
        leaders = {entry["partition"]: entry["address"] for entry in await self._partitions(topic)}
        if leaders.get(partition) is None:
            raise LeaderNotAvailableError
        options = client_options(self.security)
        async with connection_to(leaders[partition], options, request_ms=_REQUEST_MS) as connection:
            yield connection

    async def _partitions(self, topic: str) -> list[dict[str, Any]]:
        """Return the partitions as brokers describe them, each with its leader's `address`.

        Raises:
            BrokerUnavailableError: there is no such topic, it is hidden from us, or no broker answers.
        """
        options = client_options(self.security)
        server = await answering(self.bootstrap_servers, options)
        try:
            async with connection_to(server, options) as connection:
                brokers = {
                    node: address(host, port)
                    for node, host, port, *_ in (await connection.send(MetadataRequest([]))).brokers
                }
                found = (await described_on(connection, [topic]))[1][topic]
        except (KafkaError, OSError) as error:
            raise await self._explained(error, topic) from error
        if found.error_code == NOT_AUTHORIZED:
            raise BrokerUnavailableError(f"{topic} is hidden from us", Cause.NOT_AUTHORIZED)
        if found.error_code == UNKNOWN_TOPIC or not found.partitions:
            raise BrokerUnavailableError(f"{topic} at {server}", Cause.TOPIC_MISSING)
        return [{**entry, "address": brokers.get(entry["leader"])} for entry in found.partitions]

    async def _explained(self, error: Exception, topic: str) -> BrokerUnavailableError:
        found = await diagnose(self.bootstrap_servers, client_options(self.security), topic)
        return unavailable([found or Silence("", Cause.OTHER, f"reading {topic}: {type(error).__name__}")])


@define
class _Reading:
    """How far one partition has been read, and what was found."""

    topic: str
    partition: int
    needle: bytes
    is_wanted: Callable[[Any], bool]
    rolled_back: bool
    start: int
    """Where it begins: at a time (ms), or `_EARLIEST`."""
    position: int = -1
    end: int = -1
    """The end when the reading began: a topic that grows is read no further."""
    found: list[Record] = field(factory=list)
    progressed_at: float = field(factory=time.monotonic)

    @property
    def done(self) -> bool:
        return 0 <= self.end <= self.position

    @property
    def stalled_s(self) -> float:
        return time.monotonic() - self.progressed_at

    async def read(self, connection: AIOKafkaConnection) -> None:
        """Read on until the end.

        Raises:
            KafkaError, OSError: the leader does not answer, or it is another.
        """
        if self.end < 0:
            position = await self._offset(connection, self.start)
            self.end = await self._offset(connection, _LATEST)
            self.position = self.end if position < 0 else position  # nothing was written since
        while not self.done:
            # What is rolled back is listed in the answer to readers of what is committed.
            asked = [(self.topic, [(self.partition, self.position, _FETCH_BYTES)])]
            answer = await connection.send(FetchRequest(_WAIT_MS, 1, _FETCH_BYTES, _READ_COMMITTED, asked))
            [part] = answer.to_object()["topics"][0]["partitions"]
            if part["error_code"] == OffsetOutOfRangeError.errno:
                # Retention removed the oldest meanwhile; or the newest got lost with a leader.
                self.position = max(self.position, await self._offset(connection, _EARLIEST))
                self.end = min(self.end, await self._offset(connection, _LATEST))
                continue
            if part["error_code"]:
                raise for_code(part["error_code"])
            before = self.position
            self._take(part["message_set"] or b"", part["aborted_transactions"] or ())
            if self.position > before:
                self.progressed_at = time.monotonic()
            elif self.stalled_s > PATIENCE_S:
                raise TimeoutError
            else:  # a quota is exceeded
                await asyncio.sleep(answer.throttle_time_ms / 1000)

    async def _offset(self, connection: AIOKafkaConnection, which: int) -> int:
        asked = [(self.topic, [(self.partition, which)])]
        answer = await connection.send(OffsetRequest(-1, _READ_COMMITTED, asked))
        [(_, [(_, code, _, offset)])] = answer.topics
        if code:
            raise for_code(code)
        return int(offset)

    def _take(self, data: bytes, aborted: Sequence[dict[str, int]]) -> None:
        """Look through whole batches, and move the position behind them."""
        coming = sorted((each["first_offset"], each["producer_id"]) for each in aborted)
        rolled_back: set[int] = set()
        start = 0
        while start + _HEAD.size <= len(data):
            base, length, magic, attributes, last_delta, producer = _HEAD.unpack_from(data, start)
            stop = start + _LOG_OVERHEAD + length
            if stop > len(data):
                return  # cut off, and the next answer begins with it
            while coming and coming[0][0] <= base:
                rolled_back.add(coming.pop(0)[1])
            if magic < _MAGIC:  # of a producer of before Kafka 0.11
                self._decode(data[start:stop], rolled_back=False)
            else:
                if attributes & _CONTROL:
                    rolled_back.discard(producer)  # the marker that ends its transaction
                elif attributes & _COMPRESSED or data.find(self.needle, start, stop) >= 0:
                    is_rolled_back = bool(attributes & _TRANSACTIONAL) and producer in rolled_back
                    if self.rolled_back or not is_rolled_back:
                        self._decode(data[start:stop], rolled_back=is_rolled_back)
                self.position = max(self.position, base + last_delta + 1)
            start = stop

    def _decode(self, data: bytes, *, rolled_back: bool) -> None:
        batch = MemoryRecords(data).next_batch()
        offset = self.position
        try:
            for record in batch:
                # A compressed batch is sent from its beginning, wherever in it the reading begins.
                if self.position <= record.offset < self.end and self.is_wanted(record):
                    self.found.append(self._record(record, rolled_back=rolled_back))
                offset = record.offset + 1
        except (ValueError, CorruptRecordException):  # such as a header's name that is not UTF-8
            self.found.append(Record(partition=self.partition, offset=offset, readable=False))
        self.position = max(self.position, batch.next_offset)

    def _record(self, record: Any, *, rolled_back: bool) -> Record:
        return Record(
            partition=self.partition,
            offset=record.offset,
            key=record.key,
            headers=headers_of(record),
            value=record.value,
            timestamp=record.timestamp or 0,
            rolled_back=rolled_back,
        )


def _varint(number: int) -> bytes:
    """Write a length as a record does (zigzag, then groups of seven bits, the lowest first)."""
    number, written = number << 1, bytearray()
    while number > 0x7F:  # noqa: PLR2004
        written.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*written, number])
