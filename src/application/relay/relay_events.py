"""Publish one batch of stored events to Kafka, in order, and delete what was acknowledged."""

import asyncio
from collections.abc import Callable, Iterable, Sequence

from attrs import define, field, frozen

from application.failure import Failure
from application.relay.messages import DeliveryResults, Pending
from application.relay.ports import Outbox, Publisher


@frozen
class Round:
    """The result of one round."""

    taken: int
    published: Sequence[Pending] = ()
    refused: int = 0
    outage: Failure | None = None


@define
class RelayEvents:
    """One round: read the oldest events, send them, move refused ones to the dead letters.

    Acknowledged events are deleted by the next read, so that a small round costs one statement. While a full batch is
    being sent, the next one is read from other lanes, hence with other keys: database and broker work in parallel.

    A crash at any point repeats events, but loses or reorders none. A round sends, for each key, the lowest stored
    versions in rising order, and a version is deleted only after it was acknowledged. So when a version first
    reaches the broker, all lower ones have reached it: also when two relays briefly hold one lane, or when a frozen
    relay resumes and sends its current batch. Leases only avoid duplicate work.
    """

    outbox: Outbox
    publisher: Publisher
    waiting_in: Callable[[int], int] = int
    """The lane in which events of a held lane wait: the lane itself, or its `session_lane`."""
    _published: Sequence[Pending] = field(default=(), init=False)
    """Published by the last round, not deleted yet. Cleared if the deletion fails: the next primary may have lost
    commits, and what it stores under the same versions must be published."""
    _ahead: Sequence[Pending] = field(default=(), init=False)
    """Read while the last batch was being sent, not sent yet."""

    async def __call__(self, lanes: Sequence[int], limit: int) -> Round:
        waiting = [*map(self.waiting_in, lanes)]
        batch, self._ahead = self._ahead or await self._read(waiting, limit), ()
        if not batch:
            return Round(0)
        before, self._published = self._published, ()
        if len(batch) < limit and not before:
            deliveries = await self.publisher.publish(batch)
        else:
            busy = {item.lane for item in (*before, *batch)}
            others = [lane for lane in waiting if lane not in busy] if len(batch) >= limit else []
            deliveries = await self._publish_beside(batch, before, others, limit)
        if deliveries.refused:
            self._ahead = ()  # read again: if the database fails now, it may not have those events afterwards
            await self.outbox.move_to_dead_letters(deliveries.refused)
        self._published = published = settled(batch, deliveries)
        if deliveries.outage:
            await self.settle()  # the next round may be seconds away
        return Round(len(batch), published, len(deliveries.refused), deliveries.outage)

    async def settle(self) -> None:
        """Delete what the last round published, if no other round follows soon."""
        published, self._published, self._ahead = self._published, (), ()
        await self._delete(published)

    async def _publish_beside(
        self, batch: Sequence[Pending], before: Sequence[Pending], others: Sequence[int], limit: int
    ) -> DeliveryResults:
        """Publish the batch; meanwhile delete those published `before`, and read the next batch from other lanes."""
        ahead, deleted, deliveries = await asyncio.gather(
            # First, so that the database has work while the batch is encoded.
            self._read(others, limit),
            self._delete(before),
            self.publisher.publish(batch),
            # Await all: after an aborted send it is unknown what arrived.
            return_exceptions=True,
        )
        if isinstance(deliveries, BaseException):
            raise deliveries
        if isinstance(deleted, BaseException):
            raise deleted
        if isinstance(ahead, BaseException):
            raise ahead
        self._ahead = ahead
        return deliveries

    async def _read(self, waiting_in: Sequence[int], limit: int) -> Sequence[Pending]:
        """Read the oldest of these lanes, if any, and delete what was published."""
        if not waiting_in:
            return ()
        published, self._published = self._published, ()
        return await self.outbox.oldest(waiting_in, limit, published=published)

    async def _delete(self, published: Sequence[Pending]) -> None:
        if published:
            await self.outbox.delete(published)


def settled(batch: Iterable[Pending], deliveries: DeliveryResults) -> list[Pending]:
    """Return what may be deleted: acknowledged, with nothing unsettled before it in its key.

    The publisher guarantees that nothing is acknowledged after a gap. If a broker violates that, everything from the
    gap on is sent again, in order.
    """
    if not deliveries.outage:
        return list(deliveries.acknowledged)
    acknowledged = {pending.id for pending in deliveries.acknowledged}
    refused = {refusal.pending.id for refusal in deliveries.refused}
    stuck: set[str] = set()
    settled = []
    for pending in batch:
        key = pending.message.key
        if pending.id in refused or key in stuck:
            continue
        if pending.id in acknowledged:
            settled.append(pending)
        else:
            stuck.add(key)
    return settled
