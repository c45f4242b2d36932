"""Carry one batch of stored events to Kafka, in order, and delete what arrived."""

from collections.abc import Callable, Iterable, Sequence

from attrs import define, field, frozen

from application.failure import Failure
from application.relay.messages import DeliveryResults, Outbox, Pending, Publisher


@frozen
class Round:
    """What one round did."""

    taken: int
    published: Sequence[Pending] = ()
    refused: int = 0
    outage: Failure | None = None


@define
class RelayEvents:
    """One round: read the oldest, send them, move what was refused to the dead letters.

    What was acknowledged is deleted by the next round's read, so that a small round costs one statement.

    A crash at any point costs a repetition, never an event and never the order. A round sends, for each key, the lowest
    stored versions in rising order, and a version is deleted only after it was acknowledged. So when a version first
    reaches the broker, all lower ones have reached it: also when two relays hold one lane for a moment, or when one
    that was frozen wakes up and sends what it still had in hand. Leases only save work.
    """

    outbox: Outbox
    publisher: Publisher
    waiting_in: Callable[[int], int] = int
    """Where the events of a lane that this relay holds wait: in the lane itself, or in `session_lane`."""
    _published: Sequence[Pending] = field(default=(), init=False)
    """By the last round, and not deleted yet. Forgotten when that fails: a standby that lost commits may be the primary
    next, and what it stores under the same versions has to be published."""

    async def __call__(self, lanes: Sequence[int], limit: int) -> Round:
        published, self._published = self._published, ()
        batch = await self.outbox.oldest([*map(self.waiting_in, lanes)], limit, published=published)
        if not batch:
            return Round(0)
        deliveries = await self.publisher.publish(batch)
        if deliveries.refused:
            await self.outbox.move_to_dead_letters(deliveries.refused)
        self._published = published = settled(batch, deliveries)
        if deliveries.outage:
            await self.settle()  # the next round may be seconds away
        return Round(len(batch), published, len(deliveries.refused), deliveries.outage)

    async def settle(self) -> None:
        """Delete what the last round published, when no other round follows soon."""
        published, self._published = self._published, ()
        if published:
            await self.outbox.delete(published)


def settled(batch: Iterable[Pending], deliveries: DeliveryResults) -> list[Pending]:
    """Return what may be deleted: acknowledged, with nothing unsettled before it in its key.

    The publisher promises that nothing is acknowledged behind a gap. Should a broker ever break that, the whole run is
    sent again from the gap on, in order.
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
