"""The producer of events: idempotent, one batch of records for each partition."""

import asyncio
from collections.abc import Sequence

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, TopicAuthorizationFailedError
from aiokafka.structs import RecordMetadata
from faststream.kafka.security import parse_security
from faststream.security import BaseSecurity

from adapters.kafka.cloudevents import headers
from adapters.kafka.faults import REFUSED, TopicMissingError, explained, outage_of, reason
from adapters.kafka.metadata import NOT_AUTHORIZED, describe
from adapters.kafka.partition_order import fail_unsent, stop_behind_failures
from adapters.kafka.shares import Fates, Record, shares_of
from application.outbox import Deliveries, OutboxMessage, Pending, Refusal

BATCH_BYTES = 512 * 1024
"""A partition's share of one request; brokers count a whole batch against `max.message.bytes` (1 MiB by default)."""

LARGEST_BYTES = 64 * 1024 * 1024
"""No limit of ours on a message: how large is too large is the topic's to say."""

CONNECT_S = 5.0
DEADLINE_S = 15.0
"""How long a batch may take. aiokafka never gives up an idempotent batch by itself; a relay has to."""


class KafkaPublisher:
    """`Publisher` on Kafka.

    Order rests on the idempotent producer: the broker takes a partition's batches only in the sequence they were
    numbered in, and `stop_behind_failures` covers what that leaves open, so nothing lands behind a batch that failed.
    After a failure that producer is of no more use (its numbering has a hole; aiokafka issue 1017), and the next send
    starts a new one.
    """

    def __init__(self, bootstrap_servers: Sequence[str], topic: str, security: BaseSecurity | None = None) -> None:
        self._bootstrap_servers = list(bootstrap_servers)
        self._topic = topic
        self._security = parse_security(security)
        self._client: AIOKafkaProducer | None = None

    async def publish(self, batch: Sequence[Pending]) -> Deliveries:
        """See `Publisher.publish`."""
        fates = Fates()
        refused: list[Refusal] = []
        outage = await outage_of(
            self._send_all(batch, fates, refused),
            within_s=DEADLINE_S,
            unanswered="no acknowledgement",
            explain=self._explained,
        )
        if len(fates.arrived) < len(batch):
            await self.aclose()
        return Deliveries([item for item in batch if item.id in fates.arrived], refused, outage)

    async def aclose(self) -> None:
        """Close the connection; what is not acknowledged by now is not sent any more."""
        client, self._client = self._client, None
        if client is not None:
            await throw_away(client)

    async def _explained(self, error: BaseException) -> str:
        return await explained(error, self._bootstrap_servers, self._security)

    async def _send_all(self, batch: Sequence[Pending], fates: Fates, refused: list[Refusal]) -> str | None:
        """Send the batch, find what is refused for good, and return the outage that kept the rest from arriving."""
        await self._send(batch, fates)
        if any(isinstance(error, REFUSED) for error in fates.failed.values()):
            await self._find_refused([item for item in batch if item.id not in fates.arrived], fates, refused)
        elif fates.failed:
            return reason(next(iter(fates.failed.values())))
        return None

    async def _send(self, batch: Sequence[Pending], fates: Fates) -> None:
        """Hand over the batch in order and note each message's fate; what was not handed over has none."""
        client = await self._connected()
        waiting: list[tuple[list[Pending], asyncio.Future[RecordMetadata]]] = []
        try:
            for share in await shares_of(client, self._topic, batch, _record):
                try:
                    waiting.append((share.items, await share.hand_over(client, self._topic)))
                except KafkaError as error:
                    fates.note(share.items, error)
                    break  # nothing may overtake a message that was not even handed over
            await asyncio.gather(*(future for _, future in waiting), return_exceptions=True)
        finally:
            for items, future in waiting:
                if future.done() and not future.cancelled():
                    fates.note(items, future.exception())

    async def _find_refused(self, suspects: Sequence[Pending], fates: Fates, refused: list[Refusal]) -> None:
        """Send one by one what failed together: only a message that fails alone is to blame."""
        await self.aclose()
        for item in suspects:
            fates.failed.pop(item.id, None)
            await self._send([item], fates)
            error = fates.failed.get(item.id)
            if error is None:
                continue
            await self.aclose()
            if not isinstance(error, REFUSED):
                raise error
            refused.append(Refusal(item, f"{self._topic}: {type(error).__name__}", attempts=2))

    async def _connected(self) -> AIOKafkaProducer:
        if self._client is not None:
            return self._client
        self._client = client = AIOKafkaProducer(
            bootstrap_servers=self._bootstrap_servers,
            client_id="auth-service-relay",
            enable_idempotence=True,
            acks="all",
            linger_ms=0,
            max_batch_size=BATCH_BYTES,
            max_request_size=LARGEST_BYTES,
            request_timeout_ms=int(CONNECT_S * 1000),
            **self._security,
        )
        stop_behind_failures(client)
        await client.start()
        await require_topic(client, self._topic)
        return client


def _record(message: OutboxMessage) -> Record:
    return message.payload, [(name, value.encode()) for name, value in headers(message).items()]


async def throw_away(client: AIOKafkaProducer) -> None:
    """Close a producer in bounded time, whatever it has on its way."""
    sender = client._sender  # noqa: SLF001
    if sender and sender.sender_task:
        # stop() would wait for unsent batches, and they for a broker that may be gone.
        sender.sender_task.cancel()
        fail_unsent(client)
    # Waited for from outside: what aiokafka cancels of its own comes out of `stop` as if somebody cancelled us.
    stopping = asyncio.create_task(client.stop())
    await asyncio.wait({stopping}, timeout=2 * CONNECT_S)
    if not stopping.done() or stopping.cancelled() or stopping.exception():
        stopping.cancel()
        await asyncio.wait({stopping, asyncio.create_task(client.client.close())}, timeout=CONNECT_S)


async def require_topic(client: AIOKafkaProducer, topic: str) -> None:
    """Look the topic up among all: asked for by its name, a broker might create it, with partitions nobody chose.

    Raises:
        TopicMissingError: it does not exist.
        TopicAuthorizationFailedError: we may not know whether it does.
    """
    if topic not in (await client.client.fetch_all_metadata()).topics():
        _, described = await describe(client.client, [topic])
        raise (
            TopicAuthorizationFailedError if described[topic].error_code == NOT_AUTHORIZED else TopicMissingError(topic)
        )
