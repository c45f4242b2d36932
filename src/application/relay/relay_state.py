"""Publish one batch of stored events to both topics: every event to one, each user's newest version to the other."""

import asyncio
from collections.abc import Collection, Sequence

from attrs import define, field

from application.errors import BrokerUnavailableError
from application.failure import KAFKA, Cause, Failure
from application.relay.messages import DeliveryResults, Pending, RefusedMessage
from application.relay.ports import Outbox, Publisher, StateLanes, StatePublisher
from application.relay.relay_events import Round, settled
from application.relay.state_topic import FencedError, fill_lane, for_state_only

OFTEN, FORGOTTEN = 10, 0.99
"""More consecutive fencings than changes of lanes cause; each successful round reduces the count by a hundredth. Two
relays with one name fence each other in turn, every few rounds."""


@define
class RelayEventsAndState:
    """One round of a relay that also writes the state topic; it replaces `RelayEvents`.

    In the state topic no version of a user ever comes after a newer one. Before a relay reads a lane for the first
    time, it fences the earlier writer of that lane's state (`StatePublisher.fence`), itself after a failure included;
    after the read it writes a version only if that was the user's newest (`StateLanes.newest`). So what it writes is at
    least as new as everything that can have been written. An older version needs no record: the row of the newer one
    waits in the outbox, or its state has been written. A row is deleted when both topics have it.

    The next primary may have lost commits, and no call of a round needs to fail meanwhile: another connection was told,
    or a pooler hides it. So the claim is checked with each batch, because the next relay fences only whom it finds, and
    an older version is deleted only if it is not the newest at that moment (ADR 0041).
    """

    relay: str  # the name that holds the lanes
    outbox: Outbox
    publisher: Publisher
    state: StatePublisher
    lanes: StateLanes
    _writer: str | None = field(default=None, init=False)
    _claimed: frozenset[int] = field(default=frozenset(), init=False)
    _arrived: frozenset[tuple[int, float]] = field(default=frozenset(), init=False)
    """Events of the last batch, by id and time of storing, that the event topic has and whose rows are still there:
    they are not sent in every round while the state topic fails. An event that a failover lost has the same id when its
    version is stored again."""
    _fenced_lately: float = field(default=0.0, init=False)
    _published: Sequence[Pending] = field(default=(), init=False)  # see `RelayEvents`

    async def __call__(self, lanes: Sequence[int], limit: int) -> Round:
        try:
            writer = await self.state.writer()
            mine = await self._claim(lanes, writer)
        except BrokerUnavailableError as error:
            await self.settle()
            return Round(0, outage=error.failure)
        # Rows for the state topic alone come last: a fill must not delay the events.
        published, self._published = self._published, ()
        batch = await self.outbox.oldest([*mine, *map(fill_lane, mine)], limit, published=published)
        if not batch:
            return Round(0)
        # Await both, even if one fails: after an aborted send it is unknown what arrived.
        events, state = await asyncio.gather(
            self._publish_events(batch), self._publish_state(writer, batch), return_exceptions=True
        )
        if isinstance(events, BaseException):
            raise events
        self._arrived = frozenset(
            (item.id, item.stored_at) for item in settled(batch, events) if not for_state_only(item)
        )
        if isinstance(state, FencedError):
            # Claim anew, at once: each relay that takes over lanes fences the one that had them.
            self._claimed = frozenset()
            self._fenced_lately += 1
            often = Failure(KAFKA, Cause.FENCED, "do two relays run under one --name?")
            return Round(len(batch), outage=events.outage or (often if self._fenced_lately > OFTEN else None))
        if isinstance(state, BaseException):
            raise state
        self._fenced_lately *= FORGOTTEN
        newest, written = state
        both = _in_both(batch, events, written)
        if both.refused:
            await self.outbox.move_to_dead_letters(both.refused)
        done = settled(batch, both)
        self._published = [item for item in done if item.id in newest]
        if overtaken := [item for item in done if item.id not in newest]:
            await self.outbox.delete_overtaken(overtaken)
        if both.outage:
            await self.settle()
        self._arrived -= {(item.id, item.stored_at) for item in done}
        return Round(len(batch), done, len(both.refused), both.outage)

    async def settle(self) -> None:
        """See `RelayEvents.settle`."""
        published, self._published = self._published, ()
        if published:
            await self.outbox.delete(published)

    async def _claim(self, lanes: Sequence[int], writer: str) -> list[int]:
        """Return the lanes whose state this writer may write, after fencing earlier writers."""
        if writer != self._writer:
            self._writer, self._claimed = writer, frozenset()
        new = frozenset(lanes) - self._claimed
        if new:
            others = await self.lanes.writers(new, but=writer)
            if others:
                await self.state.fence(others)
            self._claimed |= await self.lanes.claim(self.relay, new, writer, {writer, *others})
        return [lane for lane in lanes if lane in self._claimed]

    async def _publish_events(self, batch: Sequence[Pending]) -> DeliveryResults:
        """Publish what the event topic does not have; everything that it does not need counts as acknowledged."""
        there = [item for item in batch if for_state_only(item) or (item.id, item.stored_at) in self._arrived]
        left = [item for item in batch if not (for_state_only(item) or (item.id, item.stored_at) in self._arrived)]
        deliveries = await self.publisher.publish(left) if left else DeliveryResults()
        return DeliveryResults([*there, *deliveries.acknowledged], deliveries.refused, deliveries.outage)

    async def _publish_state(self, writer: str, batch: Sequence[Pending]) -> tuple[frozenset[int], DeliveryResults]:
        """Write the newest versions, and return which they are; an older one counts as acknowledged."""
        newest = await self.lanes.newest(batch, writer)
        deliveries = await self.state.publish(writer, [item for item in batch if item.id in newest])
        overtaken = [item for item in batch if item.id not in newest]
        return newest, DeliveryResults([*overtaken, *deliveries.acknowledged], deliveries.refused, deliveries.outage)


def _in_both(batch: Collection[Pending], events: DeliveryResults, state: DeliveryResults) -> DeliveryResults:
    """Merge the results of each message: known if both are known, refused if one topic refused it."""
    sides = (events, state)
    arrived = [{item.id for item in side.acknowledged} for side in sides]
    refusals = [{refusal.pending.id: refusal for refusal in side.refused} for side in sides]
    acknowledged, refused = [], []
    for item in batch:
        against = [refusal for side in refusals if (refusal := side.get(item.id))]
        if len(against) + sum(item.id in side for side in arrived) < len(sides):
            continue
        if against:
            error = "; ".join(refusal.error for refusal in against)
            refused.append(RefusedMessage(item, error, max(refusal.attempts for refusal in against)))
        else:
            acknowledged.append(item)
    return DeliveryResults(acknowledged, refused, events.outage or state.outage)
