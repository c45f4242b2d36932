"""The publisher of events: each type in its topic, in order for each key."""

from collections.abc import Mapping, Sequence

from adapters.kafka.broker import Record, RelayBroker
from adapters.kafka.cloudevents import record_headers
from adapters.kafka.failures import REFUSED, UnroutedError, explained, failure_of
from adapters.kafka.partition_batches import SendResults, publish_in_order
from application.failure import Failure
from application.relay.messages import DeliveryResults, OutboxMessage, Pending, RefusedMessage

DEADLINE_S = 15.0  # How long a batch may take; aiokafka itself retries an idempotent batch without a limit.


class KafkaPublisher:
    """`Publisher` on Kafka.

    Order rests on the idempotent producer: a broker accepts a partition's batches only in sequence, and each is sent
    when the one before it is acknowledged (`publish_in_order`). After a failure the sequence has a gap (aiokafka issue
    1017), so the producer is discarded and the next call connects again.

    A topic that is missing, or refuses messages, delays only its own messages, and later ones of the same keys.
    `topics` are by CloudEvents type.
    """

    def __init__(self, broker: RelayBroker, *, topics: Mapping[str, str]) -> None:
        self._broker = broker
        self._topics = topics
        self._connected = False
        self._found: set[str] = set()

    async def publish(self, batch: Sequence[Pending]) -> DeliveryResults:
        if not batch:
            return DeliveryResults()
        results = SendResults()
        refused: list[RefusedMessage] = []
        failure = await failure_of(self._publish_all(batch, results, refused), within_s=DEADLINE_S)
        settled = results.arrived | {refusal.pending.id for refusal in refused}
        left = [item for item in batch if item.id not in settled]
        outage = await self._explained(failure, left, results) if left else None
        # A message that was sent and did not arrive left a gap in the producer's sequence.
        if failure or any(item.id not in results.unsent for item in left):
            await self.aclose()
        return DeliveryResults([item for item in batch if item.id in results.arrived], refused, outage)

    async def aclose(self) -> None:
        """Close the connection; what is not acknowledged is not retried."""
        if self._connected:
            self._connected, self._found = False, set()
            await self._broker.stop()

    async def _publish_all(self, batch: Sequence[Pending], results: SendResults, refused: list[RefusedMessage]) -> None:
        """Send the batch, then one by one what a broker refused together, to find the refused message."""
        await self._publish(batch, results)
        refusing = {self._topic(item) for item in batch if isinstance(results.failed.get(item.id), REFUSED)}
        if not refusing:
            return
        settled = results.arrived | results.unsent
        suspects = [item for item in batch if item.id not in settled and self._topic(item) in refusing]
        await self.aclose()
        for item in suspects:
            results.failed.pop(item.id, None)
            await self._publish([item], results)
            error = results.failed.get(item.id)
            if error is None:
                continue
            await self.aclose()
            if not isinstance(error, REFUSED):
                raise error
            refused.append(RefusedMessage(item, f"{self._topic(item)}: {type(error).__name__}", attempts=2))

    async def _publish(self, batch: Sequence[Pending], results: SendResults) -> None:
        """Send what has a topic, unless an earlier message of its key has none; note all results."""
        if not self._connected:
            self._connected = True  # also if it fails or is cancelled: then it must be closed
            await self._broker.connect()
        topics = {self._topics[kind] for item in batch if (kind := item.message.type) in self._topics} - self._found
        reasons = await self._broker.unusable(topics) if topics else {}
        self._found |= topics - set(reasons)
        ready = []
        held: dict[str, Exception] = {}
        for item in batch:
            topic, key = self._topic(item), item.message.key
            if topic is None or topic in reasons:
                held.setdefault(key, reasons[topic] if topic else UnroutedError(item.message.type))
            if topic is None or key in held:
                results.failed[item.id] = held[key]
                results.unsent.add(item.id)
            else:
                ready.append((topic, item))
        await publish_in_order(self._broker, ready, _record, results)

    def _topic(self, item: Pending) -> str | None:
        return self._topics.get(item.message.type)

    async def _explained(self, failure: BaseException | None, left: Sequence[Pending], results: SendResults) -> Failure:
        first = next((item for item in left if item.id in results.failed), left[0])
        error = failure or results.failed.get(first.id) or TimeoutError()
        return await explained(error, self._broker, self._topic(first))


def _record(message: OutboxMessage) -> Record:
    return Record(message.key.encode(), message.payload, record_headers(message))
