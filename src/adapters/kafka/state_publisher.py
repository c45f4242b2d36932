"""The state topic's producer: one transaction a round, and the fencing of other producers."""

import asyncio
import random
import secrets
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager

import aiokafka.producer.sender
from aiokafka import errors
from faststream.security import BaseSecurity

from adapters.kafka.broker import Record, RelayBroker
from adapters.kafka.client_tasks import take_error
from adapters.kafka.failures import KAFKA_FAILURES, REFUSED, explained, failure_of, unavailable, unwrapped
from adapters.kafka.last_stable_offset import until_stable
from adapters.kafka.partition_batches import SendResults, publish_in_order
from adapters.kafka.user_state import state_headers, state_value
from application.relay.messages import DeliveryResults, OutboxMessage, Pending, RefusedMessage
from application.relay.state_topic import FencedError

WRITER_PREFIX = "auth-service-state-"
"""Of the transactional ids; a broker with access control must let the relay write all of them."""

DEADLINE_S = 15.0
TRANSACTION_MS = 30_000
"""After this the coordinator aborts a dead relay's transaction, which delays `read_committed` consumers."""

PULSE_S = 3600.0
"""A broker rolls a segment, and compacts it, only when something is appended (seen with Kafka 4.3.1). So that data of
deleted users is removed, idle partitions get the markers of an empty transaction."""

_FENCED = (
    errors.ProducerFenced, errors.InvalidProducerEpoch, errors.InvalidTxnState, errors.InvalidProducerIdMapping,
)  # fmt: skip

# A transaction that begins while the markers of the one before are written has to be retried; markers take about a
# millisecond, and aiokafka's 20 would be most of a round.
aiokafka.producer.sender.BACKOFF_OVERRIDE = 0.002


class KafkaStatePublisher:
    """`StatePublisher` with a transactional producer, which FastStream starts and stops.

    FastStream does not offer transactions: they are begun and ended on aiokafka's producer.

    Each producer has a random transactional id, used only for fencing: requesting the id's producer epoch again
    (`InitProducerId`) makes the coordinator refuse the older epoch permanently and roll back its open transaction
    (KIP-98; Kafka Connect fences its zombies in the same way, KIP-618). Then the newer epoch rolls back an empty
    transaction on every partition, so that each partition's leader has it too. After that no record of the fenced
    writer can be appended, be it frozen, retrying, or waiting in a broker's buffer.
    """

    def __init__(self, bootstrap_servers: Sequence[str], topic: str, security: BaseSecurity | None = None) -> None:
        self._bootstrap_servers = bootstrap_servers
        self._security = security
        self._topic = topic
        self._broker: RelayBroker | None = None
        self._writer = ""
        self._broken = False
        self._pulse_at = 0.0
        # Refused together with others, to be sent alone to find the one that is refused.
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
                    await self._fence(writer)
                    break
                except FencedError:  # another relay is fencing it at this moment, and may not be done
                    await asyncio.sleep(random.uniform(0.01, 0.1))  # noqa: S311  # jitter, not a secret

    async def publish(self, writer: str, batch: Sequence[Pending]) -> DeliveryResults:
        if self._broker is None or self._broken or writer != self._writer:
            raise FencedError
        if not batch:
            return DeliveryResults()
        results = SendResults()
        self._suspects &= {item.id for item in batch}
        self._broken = True  # until the commit is known, also when this is cancelled
        failure = await failure_of(self._transact(self._broker, batch, results), within_s=DEADLINE_S)
        if failure:
            outage = await explained(failure, self._broker, self._topic)
            await self.aclose()  # or it would continue to retry
            return DeliveryResults(outage=outage)
        # After a failure the producer's sequence has a gap (ADR 0024).
        self._broken = bool(results.failed)
        refused = [
            RefusedMessage(item, f"{self._topic}: {type(results.failed[item.id]).__name__}", attempts=2)
            for item in batch
            if item.id in results.failed and item.id in self._suspects
        ]
        if results.failed and not refused:
            self._suspects |= {item.id for item in batch if item.id not in results.arrived}
        return DeliveryResults([item for item in batch if item.id in results.arrived], refused)

    async def aclose(self) -> None:
        """Close the producer; an open transaction is rolled back when it is fenced, or by the coordinator."""
        broker, self._broker = self._broker, None
        if broker:
            await broker.stop()

    async def _fence(self, writer: str) -> None:
        broker = await self._connected(writer)
        try:
            await self._mark(broker, commit=False)
        finally:
            await broker.stop()
        # The markers are written after the acknowledgement, and before the coordinator returns the next epoch.
        await (await self._connected(writer)).stop()

    async def _mark(self, broker: RelayBroker, *, commit: bool) -> None:
        """Write the marker of an empty transaction to every partition; raises BrokerUnavailableError, FencedError."""
        producer = broker.producer
        try:
            with _fenced():
                async with asyncio.timeout(DEADLINE_S):
                    await producer.begin_transaction()
                    for partition in await producer.partitions_for(self._topic):
                        # An empty batch makes the partition part of the transaction, and is never sent.
                        empty = await producer.send_batch(producer.create_batch(), self._topic, partition=partition)
                        empty.add_done_callback(take_error)
                    await (producer.commit_transaction() if commit else producer.abort_transaction())
        except KAFKA_FAILURES as error:
            raise await unavailable(error, broker, self._topic) from None

    async def _transact(self, broker: RelayBroker, batch: Sequence[Pending], results: SendResults) -> None:
        """Write the batch in one transaction, without refused messages; FencedError: another relay fenced this writer.

        A broker refuses a partition's records together. Suspects are sent alone and last, until the first that fails:
        nothing can be written to its partition after it.
        """
        with _fenced():
            await broker.producer.begin_transaction()
            await self._send(broker, [item for item in batch if item.id not in self._suspects], results)
            for item in batch:
                if results.failed:
                    break
                if item.id in self._suspects:
                    await self._send(broker, [item], results)
            for error in results.failed.values():
                if not isinstance(error, REFUSED):
                    raise error
            await broker.producer.commit_transaction()
            await until_stable(broker.producer, self._topic, results.ends)

    async def _send(self, broker: RelayBroker, batch: Sequence[Pending], results: SendResults) -> None:
        """Send the records and note each result; raise if this writer is fenced."""
        await publish_in_order(broker, ((self._topic, item) for item in batch), _record, results)
        for error in results.failed.values():
            if isinstance(unwrapped(error), _FENCED):
                raise error

    async def _connected(self, writer: str) -> RelayBroker:
        broker = RelayBroker(self._bootstrap_servers, self._security)
        try:
            with _fenced():  # by another relay that requests the same epoch at this moment
                async with asyncio.timeout(DEADLINE_S):
                    await broker.connect(transactional_id=writer, transaction_timeout_ms=TRANSACTION_MS)
                    if reasons := await broker.unusable([self._topic]):
                        raise reasons[self._topic]  # noqa: TRY301  # it is explained as the others are
        except KAFKA_FAILURES as error:
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
def _fenced() -> Iterator[None]:
    """Translate the brokers' refusals of this writer."""
    try:
        yield
    except errors.KafkaError as error:
        if isinstance(unwrapped(error), _FENCED):
            raise FencedError from None
        raise
