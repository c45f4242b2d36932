"""The state topic's producer: one transaction a round, and a way to bar a producer for ever."""

import asyncio
import random
import secrets
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager

import aiokafka.producer.sender
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import (
    InvalidProducerEpoch,
    InvalidProducerIdMapping,
    InvalidTxnState,
    OutOfOrderSequenceNumber,
    ProducerFenced,
)
from faststream.security import BaseSecurity

from adapters.kafka.failures import REFUSED, TROUBLE, Attempts
from adapters.kafka.last_stable_offset import until_stable
from adapters.kafka.partition_batches import Fates, Record, shares_of
from adapters.kafka.producer import Producer
from adapters.kafka.user_state import state_headers, state_value
from application.errors import BrokerUnavailableError
from application.relay.messages import DeliveryResults, OutboxMessage, Pending, RefusedMessage
from application.relay.state_topic import FencedError

WRITER_PREFIX = "auth-service-state-"
"""Of the transactional ids; a broker with access control must let the relay write all of them."""

DEADLINE_S = 15.0
TRANSACTION_MS = 30_000
"""After this the coordinator aborts by itself what a dead relay began; it holds up `read_committed` consumers."""

PULSE_S = 3600.0
"""A broker closes a segment, and compacts it, only when something is appended (seen with Kafka 4.3.1). For the sake of
what deleted users once were, partitions that nobody writes to get the markers of an empty transaction."""

_BARRED = (ProducerFenced, InvalidProducerEpoch, InvalidTxnState, InvalidProducerIdMapping)

# A transaction that begins while the markers of the one before are still being written is told to come back; markers
# take about a millisecond, and aiokafka's 20 would be most of a round.
aiokafka.producer.sender.BACKOFF_OVERRIDE = 0.002


class KafkaStatePublisher:
    """`StatePublisher` on a transactional producer.

    Its transactional id is drawn for each producer, and used for nothing but this: asking for the id's producer epoch
    once more (`InitProducerId`) makes the coordinator refuse the older one for ever, and rolls back what it had open
    (KIP-98; Kafka Connect bars its zombies in the same way, KIP-618). Then the newer epoch rolls back an empty
    transaction on every partition, so that each partition's leader knows it too. After that nothing of the barred
    writer can land, be it frozen, retrying, or waiting in a buffer of a broker.
    """

    def __init__(self, bootstrap_servers: Sequence[str], topic: str, security: BaseSecurity | None = None) -> None:
        self._attempts = Attempts(bootstrap_servers, security, topic)
        self._topic = topic
        self._producer: Producer | None = None
        self._writer = ""
        self._broken = False
        self._pulse_at = 0.0
        # Failed together with others and have to be tried alone, to find the one that is refused.
        self._suspects: set[int] = set()

    async def writer(self) -> str:
        """See `StatePublisher.writer`."""
        if self._producer is None or self._broken:
            await self.aclose()
            writer = WRITER_PREFIX + secrets.token_hex(8)
            self._producer = await self._started(writer)
            self._writer, self._broken, self._pulse_at = writer, False, time.monotonic() + PULSE_S
        if time.monotonic() > self._pulse_at:
            self._broken = True
            try:
                await self._mark(self._producer.client, commit=True)
            except FencedError:
                return await self.writer()
            self._broken, self._pulse_at = False, time.monotonic() + PULSE_S
        return self._writer

    async def fence(self, writers: Collection[str]) -> None:
        """See `StatePublisher.fence`."""
        for writer in writers:
            while True:
                try:
                    await self._bar(writer)
                    break
                except FencedError:  # somebody else is barring it at this moment, and may not be done
                    await asyncio.sleep(random.uniform(0.01, 0.1))  # noqa: S311  # jitter, not a secret

    async def publish(self, writer: str, batch: Sequence[Pending]) -> DeliveryResults:
        """See `StatePublisher.publish`."""
        if self._producer is None or self._broken or writer != self._writer:
            raise FencedError
        if not batch:
            return DeliveryResults()
        fates = Fates()
        self._suspects &= {item.id for item in batch}
        self._broken = True  # until the commit is known, also when this is cancelled
        transacted = self._transact(self._producer.client, batch, fates)
        outage = await self._attempts.outage_of(transacted, within_s=DEADLINE_S)
        if outage:
            await self.aclose()  # or it would go on trying
            return DeliveryResults(outage=outage)
        # A producer has no more use after a failure: its numbering has a hole (ADR 0007).
        self._broken = bool(fates.failed)
        refused = [
            RefusedMessage(item, f"{self._topic}: {type(fates.failed[item.id]).__name__}", attempts=2)
            for item in batch
            if item.id in fates.failed and item.id in self._suspects
        ]
        if fates.failed and not refused:
            self._suspects |= {item.id for item in batch if item.id not in fates.arrived}
        return DeliveryResults([item for item in batch if item.id in fates.arrived], refused)

    async def aclose(self) -> None:
        """Close the producer; a transaction that is open is rolled back when it is barred, or by the coordinator."""
        producer, self._producer = self._producer, None
        if producer:
            await producer.throw_away()

    async def _bar(self, writer: str) -> None:
        producer = await self._started(writer)
        try:
            await self._mark(producer.client, commit=False)
        finally:
            await producer.throw_away()
        # The markers are written a moment after they are acknowledged, and before the epoch is given once more.
        await (await self._started(writer)).throw_away()

    async def _mark(self, client: AIOKafkaProducer, *, commit: bool) -> None:
        """Write the marker of an empty transaction to every partition.

        Raises:
            BrokerUnavailableError: Kafka is out of reach.
            FencedError: somebody asked for the epoch meanwhile.
        """
        try:
            with _fenced_when_barred():
                async with asyncio.timeout(DEADLINE_S):
                    await client.begin_transaction()
                    for partition in await client.partitions_for(self._topic):
                        client._txn_manager.maybe_add_partition_to_txn(TopicPartition(self._topic, partition))  # noqa: SLF001
                    await (client.commit_transaction() if commit else client.abort_transaction())
        except TROUBLE as error:
            raise BrokerUnavailableError(await self._attempts.explained(error)) from None

    async def _transact(self, client: AIOKafkaProducer, batch: Sequence[Pending], fates: Fates) -> None:
        """Write the batch in one transaction; what is refused, or may be, is left out of it.

        A broker refuses a partition's records together, so only one that is refused alone is to blame. Suspects are
        tried alone and last, until the first that fails: nothing can be written to its partition after it.

        Raises:
            FencedError: somebody barred this writer.
        """
        ends: dict[int, int] = {}
        with _fenced_when_barred():
            await client.begin_transaction()
            await self._send(client, [item for item in batch if item.id not in self._suspects], fates, ends)
            for item in batch:
                if fates.failed:
                    break
                if item.id in self._suspects:
                    await self._send(client, [item], fates, ends)
            refused = any(isinstance(error, REFUSED) for error in fates.failed.values())
            for error in fates.failed.values():
                # Behind a batch that was refused the next one of its partition is out of sequence, and as harmless.
                if not (refused and isinstance(error, (*REFUSED, OutOfOrderSequenceNumber))):
                    raise error
            await client.commit_transaction()
            await until_stable(client, self._topic, ends)

    async def _send(
        self, client: AIOKafkaProducer, batch: Sequence[Pending], fates: Fates, ends: dict[int, int]
    ) -> None:
        """Send the records, pipelined; note each one's fate and how far each partition got. Raise when barred."""
        shares = await shares_of(client, self._topic, batch, _record)
        waiting = [await share.hand_over(client, self._topic) for share in shares]
        for share, fate in zip(shares, await asyncio.gather(*waiting, return_exceptions=True), strict=True):
            if isinstance(fate, BaseException):
                if isinstance(fate, _BARRED):
                    raise fate
                fates.note(share.items, fate)
            else:
                fates.note(share.items, None)
                ends[share.partition] = max(fate.offset + len(share.items), ends.get(share.partition, 0))

    async def _started(self, writer: str) -> Producer:
        producer = await Producer.make(
            self._attempts.bootstrap_servers,
            self._attempts.security,
            client_id="auth-service-relay-state",
            transactional_id=writer,
            transaction_timeout_ms=TRANSACTION_MS,
        )
        try:
            with _fenced_when_barred():  # by another relay that asks for the same epoch at this moment
                async with asyncio.timeout(DEADLINE_S):
                    await producer.start(self._topic)
        except TROUBLE as error:
            await producer.throw_away()
            raise BrokerUnavailableError(await self._attempts.explained(error)) from None
        except BaseException:
            await producer.throw_away()
            raise
        return producer


def _record(message: OutboxMessage) -> Record:
    value = state_value(message)
    return value, state_headers(message, value)


@contextmanager
def _fenced_when_barred() -> Iterator[None]:
    """Say in the application's words that the brokers take no more of this writer."""
    try:
        yield
    except _BARRED:
        raise FencedError from None
