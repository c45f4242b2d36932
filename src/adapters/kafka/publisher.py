"""The producer: pipelined and idempotent, through FastStream's broker."""

import asyncio
import contextlib
from collections.abc import Sequence

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError, RecordListTooLargeError
from faststream.kafka import KafkaBroker
from faststream.security import BaseSecurity

from adapters.kafka.cloudevents import headers
from application.outbox import Deliveries, Pending, Refusal

BATCH_BYTES = 512 * 1024
"""A partition's share of one request; brokers count a whole batch against `max.message.bytes` (1 MiB by default)."""

LARGEST_BYTES = 64 * 1024 * 1024
"""No limit of ours on a message: how large is too large is the topic's to say."""

CONNECT_S = 5.0
DEADLINE_S = 15.0
"""How long a batch may take. aiokafka never gives up an idempotent batch by itself; a relay has to."""

_TOO_LARGE = (MessageSizeTooLargeError, RecordListTooLargeError)
"""The one thing that a broker holds against a record for ever; everything else may pass."""


class _TopicMissingError(Exception):
    pass


_TROUBLE = (KafkaError, OSError, TimeoutError, _TopicMissingError)


class KafkaPublisher:
    """`Publisher` on Kafka.

    Order rests on the idempotent producer: the broker takes a partition's batches only in the sequence they were
    numbered in, so nothing lands behind a batch that failed. After a failure that producer is of no more use (its
    numbering has a hole; aiokafka issue 1017), and the next send starts a new one.
    """

    def __init__(self, bootstrap_servers: Sequence[str], topic: str, security: BaseSecurity | None = None) -> None:
        self._bootstrap_servers = list(bootstrap_servers)  # FastStream takes a comma-joined text for one host
        self._topic = topic
        self._security = security
        self._broker: KafkaBroker | None = None

    async def publish(self, batch: Sequence[Pending]) -> Deliveries:
        """See `Publisher.publish`."""
        fates: dict[int, BaseException | None] = {}
        refused: list[Refusal] = []
        outage = None
        try:
            async with asyncio.timeout(DEADLINE_S):
                await self._send(batch, fates)
                failures = [error for error in fates.values() if error]
                if any(isinstance(error, _TOO_LARGE) for error in failures):
                    refused = await self._find_refused([item for item in batch if fates.get(item.id, failures)], fates)
                elif failures:
                    outage = _reason(failures[0])
        except TimeoutError:
            outage = f"no acknowledgement within {DEADLINE_S:g} s"
        except _TROUBLE as error:
            outage = _reason(error)
        acknowledged = [item for item in batch if fates.get(item.id, outage) is None]
        if len(acknowledged) < len(batch):
            await self.aclose()
        return Deliveries(acknowledged, refused, outage)

    async def aclose(self) -> None:
        """Close the connection; what is not acknowledged by now is not sent any more."""
        broker, self._broker = self._broker, None
        if broker:
            # stop() would wait for unsent batches, and they for a broker that may be gone.
            producer: AIOKafkaProducer = broker.config.producer._producer.producer  # type: ignore[attr-defined]  # noqa: SLF001
            producer._sender.sender_task.cancel()  # noqa: SLF001
            with contextlib.suppress(*_TROUBLE):
                await asyncio.wait_for(broker.stop(), CONNECT_S)

    async def _send(self, batch: Sequence[Pending], fates: dict[int, BaseException | None]) -> None:
        """Hand over the batch in order and note each message's fate; what was not handed over has none."""
        broker = await self._connected()
        waiting: list[tuple[int, asyncio.Future[object]]] = []
        try:
            for item in batch:
                try:
                    future = await broker.publish(
                        item.message.payload,
                        self._topic,
                        key=item.message.key.encode(),
                        headers=headers(item.message),
                        correlation_id="",
                        no_confirm=True,
                    )
                except KafkaError as error:
                    # Nothing may overtake a message that was not even handed over.
                    fates[item.id] = error
                    break
                waiting.append((item.id, future))
            await asyncio.gather(*(future for _, future in waiting), return_exceptions=True)
        finally:
            for pending_id, future in waiting:
                if future.done() and not future.cancelled():
                    fates[pending_id] = future.exception()

    async def _find_refused(self, suspects: Sequence[Pending], fates: dict[int, BaseException | None]) -> list[Refusal]:
        """Send one by one what failed together: only a message that fails alone is to blame."""
        refused = []
        for item in suspects:
            await self._send([item], fates)
            error = fates.pop(item.id)
            if error is None:
                fates[item.id] = None
                continue
            await self.aclose()
            if not isinstance(error, _TOO_LARGE):
                raise error
            refused.append(Refusal(item, _reason(error), attempts=2))
        return refused

    async def _connected(self) -> KafkaBroker:
        if self._broker is None:
            broker = KafkaBroker(
                self._bootstrap_servers,
                security=self._security,
                enable_idempotence=True,
                acks="all",
                linger_ms=0,
                max_batch_size=BATCH_BYTES,
                max_request_size=LARGEST_BYTES,
                request_timeout_ms=int(CONNECT_S * 1000),
                logger=None,
            )
            await broker.connect()
            self._broker = broker
            if self._topic not in await broker.config.admin_client.list_topics():
                # Asking for it by name might make a broker create it, with partitions that nobody chose.
                raise _TopicMissingError(f"topic {self._topic} does not exist")
        return self._broker


def _reason(error: BaseException) -> str:
    return str(error) if isinstance(error, _TopicMissingError) else type(error).__name__
