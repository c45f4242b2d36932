"""How long the parts of a round take: one figure a batch."""

from collections.abc import Collection, Sequence
from contextlib import nullcontext

from attrs import frozen
from prometheus_client import Histogram

from application.relay.messages import DeliveryResults, Pending, RefusedMessage
from application.relay.ports import Outbox, Publisher

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15)

_publish = Histogram("outbox_publish_duration_seconds", "Sending one batch to Kafka.", buckets=_BUCKETS)
_delete = Histogram(
    "outbox_delete_duration_seconds", "Deleting one batch from the outbox and reading the next one.", buckets=_BUCKETS
)


@frozen
class TimedPublisher:
    """`Publisher`, measured."""

    publisher: Publisher

    async def publish(self, batch: Sequence[Pending]) -> DeliveryResults:
        with _publish.time():
            return await self.publisher.publish(batch)


@frozen
class TimedOutbox:
    """`Outbox`, measured where it deletes."""

    outbox: Outbox

    async def oldest(self, lanes: Sequence[int], limit: int, *, published: Collection[Pending] = ()) -> list[Pending]:
        with _delete.time() if published else nullcontext():
            return await self.outbox.oldest(lanes, limit, published=published)

    async def delete(self, published: Collection[Pending]) -> None:
        with _delete.time():
            await self.outbox.delete(published)

    async def delete_overtaken(self, published: Collection[Pending]) -> None:
        with _delete.time():
            await self.outbox.delete_overtaken(published)

    async def move_to_dead_letters(self, refusals: Collection[RefusedMessage]) -> None:
        await self.outbox.move_to_dead_letters(refusals)
