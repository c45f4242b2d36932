"""Finding one user's records in a topic: bytes are compared first, and only batches that may hold one are decoded.

Decoding every record, as a consumer does, takes four times the CPU (`python -m bench history`).
"""

import asyncio
import struct
import time
from collections.abc import Callable, Sequence
from typing import Any

from aiokafka import errors
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.record.util import encode_varint
from attrs import define, field, frozen
from faststream.security import BaseSecurity

from adapters.kafka import metadata
from adapters.kafka.connectivity import connection_to, find_topic, why_unavailable
from adapters.kafka.consumer import record_of
from adapters.kafka.partition_batches import partition_of
from anomalyze_auth.kafka.security import client_options
from application.errors import BrokerUnavailableError
from application.failure import Cause
from application.history.ports import TopicSearch
from application.relay.ports import Record

PATIENCE_S = 20.0  # without progress, until a partition's leader is given up: a failover takes a few seconds

_PAUSE_S = 0.2
_REQUEST_MS = 10_000
_WAIT_MS = 500
_FETCH_BYTES = 8 * 1024 * 1024

_HEAD = struct.Struct(">qi")  # of a batch of records in every version: its first offset, and how many bytes follow


@frozen
class KafkaTopicSearch:
    """`SearchTopics`, with one connection at a time, to the leader of a partition."""

    bootstrap_servers: Sequence[str]
    security: BaseSecurity | None = None

    async def by_key(self, topic: str, key: str, *, all_partitions: bool, rolled_back: bool = False) -> TopicSearch:
        wanted = key.encode()

        def choose(partitions: Sequence[int]) -> Sequence[int]:
            return partitions if all_partitions else [partition_of(key, partitions)]

        # With its length before it, as in a record: one user's id may be the beginning of another's.
        needle = bytearray()
        encode_varint(len(wanted), needle.append)
        needle += wanted
        return await self._search(topic, needle, lambda record: record.key == wanted, choose, rolled_back=rolled_back)

    async def mentioning(self, topic: str, text: str) -> TopicSearch:
        needle = f'"{text}"'.encode()
        return await self._search(topic, needle, lambda record: needle in (record.value or b""), list, rolled_back=True)

    async def since(self, topic: str, since_ms: int, take: Callable[[Any], object]) -> None:
        """Hand over aiokafka's records since this time (ms), by partition; raises BrokerUnavailableError."""
        await self._search(topic, b"", lambda record: bool(take(record)), list, rolled_back=False, start=since_ms)

    async def _search(  # noqa: PLR0913  # what to look for, and where
        self,
        topic: str,
        needle: bytes | bytearray,
        is_wanted: Callable[[Any], bool],
        choose: Callable[[Sequence[int]], Sequence[int]],
        *,
        rolled_back: bool,
        start: int = metadata.EARLIEST,
    ) -> TopicSearch:
        partitions = sorted(await self._leaders(topic))
        chosen = choose(partitions)
        records: list[Record] = []
        for partition in chosen:
            reading = _Reading(topic, partition, needle, is_wanted, rolled_back, start)
            await self._read(reading)
            records += reading.found
        return TopicSearch(topic=topic, partitions=len(partitions), searched=chosen, records=records)

    async def _read(self, reading: "_Reading") -> None:
        """Read to the end; continue at the same offset when the partition's leader changes or is lost."""
        while not reading.done:
            try:
                leader = (await self._leaders(reading.topic)).get(reading.partition)
                if leader is None:
                    raise errors.LeaderNotAvailableError
                options = client_options(self.security)
                async with connection_to(leader, options, request_ms=_REQUEST_MS) as connection:
                    await reading.read(connection.send)
            except errors.TopicAuthorizationFailedError as error:
                raise BrokerUnavailableError(f"reading {reading.topic}", Cause.NOT_AUTHORIZED) from error
            except errors.UnsupportedCodecError as error:
                detail = f"{reading.topic} has a compression that this client does not support: {error}"
                raise BrokerUnavailableError(detail, Cause.CONFIGURATION) from error
            except BrokerUnavailableError:  # from `_leaders`
                if reading.stalled_s > PATIENCE_S:
                    raise
                await asyncio.sleep(_PAUSE_S)
            except (errors.KafkaError, OSError) as error:
                if reading.stalled_s > PATIENCE_S:
                    options = client_options(self.security)
                    raise await why_unavailable(error, self.bootstrap_servers, options, reading.topic) from error
                await asyncio.sleep(_PAUSE_S)

    async def _leaders(self, topic: str) -> dict[int, str | None]:
        """Return each partition's leader or None; raises as `find_topic`."""
        _, known = await find_topic(self.bootstrap_servers, client_options(self.security), topic)
        return {entry["partition"]: known.brokers.get(entry["leader"]) for entry in known.topics[topic].partitions}


@define
class _Reading:
    """How far one partition has been read, and what was found."""

    topic: str
    partition: int
    needle: bytes | bytearray
    is_wanted: Callable[[Any], bool]
    rolled_back: bool
    start: int  # where it begins: at a time (ms), or `EARLIEST`
    position: int = -1
    end: int = -1  # the end when the reading began: a topic that grows is read no further
    found: list[Record] = field(factory=list)
    progressed_at: float = field(factory=time.monotonic)

    @property
    def done(self) -> bool:
        return 0 <= self.end <= self.position

    @property
    def stalled_s(self) -> float:
        return time.monotonic() - self.progressed_at

    async def read(self, send: metadata.Send) -> None:
        """Read until the end, or raise KafkaError, OSError: the leader does not answer, or changed."""
        if self.end < 0:
            position = await self._offset(send, self.start)
            self.end = await self._offset(send, metadata.LATEST)
            self.position = self.end if position < 0 else position  # nothing was written since
        while not self.done:
            # With READ_COMMITTED the answer lists aborted transactions.
            asked = [(self.topic, [(self.partition, self.position, _FETCH_BYTES)])]
            answer = await send(FetchRequest(_WAIT_MS, 1, _FETCH_BYTES, metadata.READ_COMMITTED, asked))
            [part] = answer.to_object()["topics"][0]["partitions"]
            if part["error_code"] == errors.OffsetOutOfRangeError.errno:
                # Retention removed the oldest records meanwhile, or the newest were lost with a leader.
                self.position = max(self.position, await self._offset(send, metadata.EARLIEST))
                self.end = min(self.end, await self._offset(send, metadata.LATEST))
                continue
            if part["error_code"]:
                raise errors.for_code(part["error_code"])
            before = self.position
            self._take(part["message_set"] or b"", part["aborted_transactions"] or ())
            if self.position > before:
                self.progressed_at = time.monotonic()
            elif self.stalled_s > PATIENCE_S:
                raise TimeoutError
            else:  # a quota is exceeded
                await asyncio.sleep(answer.throttle_time_ms / 1000)

    async def _offset(self, send: metadata.Send, time_ms: int) -> int:
        return (await metadata.offsets_of(send, self.topic, [(self.partition, time_ms)]))[self.partition]

    def _take(self, data: bytes, aborted: Sequence[dict[str, int]]) -> None:
        """Search whole batches, and move the position behind them."""
        coming = sorted((each["first_offset"], each["producer_id"]) for each in aborted)
        rolled_back: set[int] = set()
        start = 0
        while start + _HEAD.size <= len(data):
            base, length = _HEAD.unpack_from(data, start)
            stop = start + _HEAD.size + length
            if stop > len(data):
                return  # incomplete; the next answer begins with it
            batch = MemoryRecords(data[start:stop]).next_batch()
            while coming and coming[0][0] <= base:
                rolled_back.add(coming.pop(0)[1])
            if batch.is_control_batch:
                rolled_back.discard(batch.producer_id)  # the marker that ends its transaction
            # A batch of a producer older than Kafka 0.11 does not show whether it is compressed.
            elif getattr(batch, "compression_type", True) or data.find(self.needle, start, stop) >= 0:
                is_rolled_back = batch.is_transactional and batch.producer_id in rolled_back
                if self.rolled_back or not is_rolled_back:
                    self._decode(batch, rolled_back=is_rolled_back)
            self.position = max(self.position, batch.next_offset)
            start = stop

    def _decode(self, batch: Any, *, rolled_back: bool) -> None:
        offset = self.position
        try:
            for record in batch:
                # A compressed batch is sent from its beginning, wherever in it the reading begins.
                if self.position <= record.offset < self.end and self.is_wanted(record):
                    self.found.append(record_of(record, self.partition, rolled_back=rolled_back))
                offset = record.offset + 1
        except (ValueError, errors.CorruptRecordException):  # such as a header name that is not UTF-8
            self.found.append(Record(partition=self.partition, offset=offset, readable=False))
