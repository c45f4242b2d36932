"""The state topic's producer: one transaction a round, and a way to bar a producer for ever."""

import asyncio
import random
import secrets
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager

import aiokafka.producer.sender
from aiokafka.errors import (
    InvalidProducerEpoch,
    InvalidProducerIdMapping,
    InvalidTxnState,
    ProducerFenced,
)
from faststream.security import BaseSecurity

from adapters.kafka.broker import Record, RelayBroker
from adapters.kafka.client_tasks import take_error
from adapters.kafka.failures import REFUSED, TROUBLE, explained, failure_of, unavailable
from adapters.kafka.last_stable_offset import until_stable
from adapters.kafka.partition_batches import Fates, publish_in_order
from adapters.kafka.user_state import state_headers, state_value
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
    """`StatePublisher` on brokers with a transactional producer, which FastStream starts, feeds and stops.

    FastStream has no call for transactions: they are begun and ended on aiokafka's producer below.

    Its transactional id is drawn for each producer, and used for nothing but this: asking for the id's producer epoch
    once more (`InitProducerId`) makes the coordinator refuse the older one for ever, and rolls back what it had open
    (KIP-98; Kafka Connect bars its zombies in the same way, KIP-618). Then the newer epoch rolls back an empty
    transaction on every partition, so that each partition's leader knows it too. After that nothing of the barred
    writer can land, be it frozen, retrying, or waiting in a buffer of a broker.
    """

    def __init__(self, bootstrap_servers: Sequence[str], topic: str, security: BaseSecurity | None = None) -> None:
        self._bootstrap_servers = bootstrap_servers
        self._security = security
        self._topic = topic
        self._broker: RelayBroker | None = None
        self._writer = ""
        self._broken = False
        self._pulse_at = 0.0
        # Failed together with others and have to be tried alone, to find the one that is refused.
        self._suspects: set[int] = set()

    async def writer(self) -> str:
        if self._broker is None or self._broken:
            await self.aclose()
            writer = WRITER_PREFIX + secrets.token_hex(8)
            self._broker = await self._connected(writer)
            self._writer, self._broken, self._pulse_at = writer, False, time.monotonic() + PULSE_S
        if time.monotonic() > self._pulse_at:
            self._broken = True
            try:
                await self._mark(self._broker, commit=True)
            except FencedError:
                return await self.writer()
            self._broken, self._pulse_at = False, time.monotonic() + PULSE_S
        return self._writer

    async def fence(self, writers: Collection[str]) -> None:
        for writer in writers:
            while True:
                try:
                    await self._bar(writer)
                    break
                except FencedError:  # somebody else is barring it at this moment, and may not be done
                    await asyncio.sleep(random.uniform(0.01, 0.1))  # noqa: S311  # jitter, not a secret

    async def publish(self, writer: str, batch: Sequence[Pending]) -> DeliveryResults:
        if self._broker is None or self._broken or writer != self._writer:
            raise FencedError
        if not batch:
            return DeliveryResults()
        fates = Fates()
        self._suspects &= {item.id for item in batch}
        self._broken = True  # until the commit is known, also when this is cancelled
        failure = await failure_of(self._transact(self._broker, batch, fates), within_s=DEADLINE_S)
        if failure:
            outage = await explained(failure, self._broker, self._topic)
            await self.aclose()  # or it would go on trying
            return DeliveryResults(outage=outage)
        # A producer has no more use after a failure: its numbering has a hole (ADR 0024).
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
        broker, self._broker = self._broker, None
        if broker:
            await broker.stop()

    async def _bar(self, writer: str) -> None:
        broker = await self._connected(writer)
        try:
            await self._mark(broker, commit=False)
        finally:
            await broker.stop()
        # The markers are written a moment after they are acknowledged, and before the epoch is given once more.
        await (await self._connected(writer)).stop()

    async def _mark(self, broker: RelayBroker, *, commit: bool) -> None:
        """Write the marker of an empty transaction to every partition.

        Raises:
            BrokerUnavailableError: Kafka is out of reach.
            FencedError: somebody asked for the epoch meanwhile.
        """
        producer = broker.producer
        try:
            with _fenced_when_barred():
                async with asyncio.timeout(DEADLINE_S):
                    await producer.begin_transaction()
                    for partition in await producer.partitions_for(self._topic):
                        # An empty batch makes the partition part of the transaction, and is never sent.
                        empty = await producer.send_batch(producer.create_batch(), self._topic, partition=partition)
                        empty.add_done_callback(take_error)
                    await (producer.commit_transaction() if commit else producer.abort_transaction())
        except TROUBLE as error:
            raise await unavailable(error, broker, self._topic) from None

    async def _transact(self, broker: RelayBroker, batch: Sequence[Pending], fates: Fates) -> None:
        """Write the batch in one transaction; what is refused, or may be, is left out of it.

        A broker refuses a partition's records together, so only one that is refused alone is to blame. Suspects are
        tried alone and last, until the first that fails: nothing can be written to its partition after it.

        Raises:
            FencedError: somebody barred this writer.
        """
        with _fenced_when_barred():
            await broker.producer.begin_transaction()
            await self._send(broker, [item for item in batch if item.id not in self._suspects], fates)
            for item in batch:
                if fates.failed:
                    break
                if item.id in self._suspects:
                    await self._send(broker, [item], fates)
            for error in fates.failed.values():
                if not isinstance(error, REFUSED):
                    raise error
            await broker.producer.commit_transaction()
            await until_stable(broker.producer, self._topic, fates.ends)

    async def _send(self, broker: RelayBroker, batch: Sequence[Pending], fates: Fates) -> None:
        """Send the records and note each one's fate. Raise when this writer is barred."""
        await publish_in_order(broker, ((self._topic, item) for item in batch), _record, fates)
        for error in fates.failed.values():
            if isinstance(error, _BARRED):
                raise error

    async def _connected(self, writer: str) -> RelayBroker:
        broker = RelayBroker(self._bootstrap_servers, self._security)
        try:
            with _fenced_when_barred():  # by another relay that asks for the same epoch at this moment
                async with asyncio.timeout(DEADLINE_S):
                    await broker.connect(transactional_id=writer, transaction_timeout_ms=TRANSACTION_MS)
                    if reasons := await broker.unusable([self._topic]):
                        raise reasons[self._topic]  # noqa: TRY301  # it is explained as the others are
        except TROUBLE as error:
            await broker.stop()
            raise await unavailable(error, broker, self._topic) from None
        except BaseException:
            await broker.stop()
            raise
        return broker


def _record(message: OutboxMessage) -> Record:
    value = state_value(message)
    return Record(message.key.encode(), value, state_headers(message, value))


@contextmanager
def _fenced_when_barred() -> Iterator[None]:
    """Say in the application's words that the brokers take no more of this writer."""
    try:
        yield
    except _BARRED:
        raise FencedError from None
