"""The producer of events: idempotent, one batch of records for each partition."""

import asyncio
from collections.abc import Mapping, Sequence

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.structs import RecordMetadata
from faststream.kafka.security import parse_security
from faststream.security import BaseSecurity

from adapters.kafka.cloudevents import headers
from adapters.kafka.failures import REFUSED, Attempts
from adapters.kafka.partition_batches import Fates, Record, shares_of
from adapters.kafka.partition_order import stop_behind_failures
from adapters.kafka.producer import Producer
from application.relay.messages import DeliveryResults, OutboxMessage, Pending, RefusedMessage

DEADLINE_S = 15.0
"""How long a batch may take. aiokafka never gives up an idempotent batch by itself; a relay has to."""


class KafkaPublisher:
    """`Publisher` on Kafka.

    Order rests on the idempotent producer: the broker takes a partition's batches only in the sequence they were
    numbered in, and `stop_behind_failures` covers what that leaves open, so nothing lands behind a batch that failed.
    After a failure that producer is of no more use (its numbering has a hole; aiokafka issue 1017), and the next send
    starts a new one.
    """

    def __init__(
        self, bootstrap_servers: Sequence[str], topics: Mapping[str, str], security: BaseSecurity | None = None
    ) -> None:
        """`topics` says where events of each CloudEvents type go."""
        self._attempts = Attempts(bootstrap_servers, parse_security(security), ", ".join(sorted({*topics.values()})))
        self._topics = topics
        self._producer: Producer | None = None

    async def publish(self, batch: Sequence[Pending]) -> DeliveryResults:
        """See `Publisher.publish`."""
        fates = Fates()
        refused: list[RefusedMessage] = []
        known = [item for item in batch if item.message.type in self._topics]
        outage = await self._attempts.outage_of(self._send_all(known, fates, refused), within_s=DEADLINE_S)
        refused += [
            RefusedMessage(item, f"no topic for {item.message.type}", attempts=1)
            for item in batch
            if item.message.type not in self._topics
        ]
        if len(fates.arrived) < len(batch):
            await self.aclose()
        return DeliveryResults([item for item in batch if item.id in fates.arrived], refused, outage)

    async def aclose(self) -> None:
        """Close the connection; what is not acknowledged by now is not sent any more."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await producer.throw_away()

    async def _send_all(self, batch: Sequence[Pending], fates: Fates, refused: list[RefusedMessage]) -> None:
        """Send the batch, find what is refused for good, and raise what kept the rest from arriving."""
        await self._send(batch, fates)
        if any(isinstance(error, REFUSED) for error in fates.failed.values()):
            await self._find_refused([item for item in batch if item.id not in fates.arrived], fates, refused)
        elif fates.failed:
            raise next(iter(fates.failed.values()))

    async def _send(self, batch: Sequence[Pending], fates: Fates) -> None:
        """Hand over the batch in order and note each message's fate; what was not handed over has none."""
        client = await self._connected()
        waiting: list[tuple[list[Pending], asyncio.Future[RecordMetadata]]] = []
        try:
            by_topic: dict[str, list[Pending]] = {}
            for item in batch:
                by_topic.setdefault(self._topics[item.message.type], []).append(item)
            for topic, items in by_topic.items():
                for share in await shares_of(client, topic, items, _record):
                    try:
                        waiting.append((share.items, await share.hand_over(client, topic)))
                    except KafkaError as error:
                        fates.note(share.items, error)
                        break  # nothing may overtake a message that was not even handed over
            await asyncio.gather(*(future for _, future in waiting), return_exceptions=True)
        finally:
            for items, future in waiting:
                if future.done() and not future.cancelled():
                    fates.note(items, future.exception())

    async def _find_refused(self, suspects: Sequence[Pending], fates: Fates, refused: list[RefusedMessage]) -> None:
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
            topic = self._topics[item.message.type]
            refused.append(RefusedMessage(item, f"{topic}: {type(error).__name__}", attempts=2))

    async def _connected(self) -> AIOKafkaProducer:
        if self._producer is None:
            self._producer = producer = await Producer.make(
                self._attempts.bootstrap_servers,
                self._attempts.security,
                client_id="auth-service-relay",
                enable_idempotence=True,
            )
            stop_behind_failures(producer.client)
            await producer.start(*sorted({*self._topics.values()}))
        return self._producer.client


def _record(message: OutboxMessage) -> Record:
    return message.payload, [(name, value.encode()) for name, value in headers(message).items()]
