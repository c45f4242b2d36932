"""The ports in memory, for tests of what stands on them; the same contract suite holds these and the real ones."""

import asyncio
from collections.abc import Collection, Sequence

from attrs import define, evolve, field

from application.lanes import LANES, lane_of
from application.outbox import Deliveries, Encode, OutboxMessage, Pending, Refusal
from application.ports import Decide
from application.relay_lanes import LaneShare, LaneTable
from application.trace import traceparent
from domain.decision import Decision
from domain.snapshot import Snapshot
from domain.user import Known, User, UserId


@define
class MemoryUsers:
    """`UserStore` and `UserReader` on a dictionary."""

    encode: Encode
    rows: dict[UserId, Known] = field(factory=dict)
    outbox: list[OutboxMessage] = field(factory=list)

    async def change(self, user_id: UserId, decide: Decide) -> Decision:
        await asyncio.sleep(0)  # concurrent callers really interleave
        decision = decide(self.rows.get(user_id))
        if decision.user is not self.rows.get(user_id):
            self.rows[user_id] = decision.user
            self.outbox += [evolve(self.encode(event), traceparent=traceparent.get()) for event in decision.events]
        return decision

    async def get(self, user_id: UserId) -> Known:
        return self.rows.get(user_id)


@define
class MemoryIdentities:
    """`IdentityProvider` that knows what it was told."""

    users: dict[UserId, Snapshot] = field(factory=dict)
    asked: list[UserId] = field(factory=list)

    async def get(self, user_id: UserId) -> Snapshot | None:
        self.asked.append(user_id)
        return self.users.get(user_id)


@define
class MemoryOutbox:
    """`Outbox` on a list."""

    rows: list[Pending] = field(factory=list)
    dead: list[Refusal] = field(factory=list)

    def add(self, *messages: OutboxMessage) -> None:
        for message in messages:
            number = len(self.rows) + len(self.dead) + 1
            self.rows.append(Pending(id=number, lane=lane_of(message.key), stored_at=0, message=message))

    async def oldest(self, lanes: Sequence[int], limit: int) -> list[Pending]:
        return [row for row in self.rows if row.lane in lanes][:limit]

    async def delete(self, published: Collection[Pending]) -> None:
        self.rows = [row for row in self.rows if row not in published]

    async def bury(self, refusals: Collection[Refusal]) -> None:
        self.dead += refusals
        await self.delete([refusal.pending for refusal in refusals])


@define
class MemoryPublisher:
    """`Publisher` that delivers what its `fate` says: arrives, is refused, or is cut off by an outage."""

    fate: dict[int, str] = field(factory=dict)
    """Pending id → `refused`, or the reason of an outage that begins with it."""
    delivered: list[Pending] = field(factory=list)

    async def publish(self, batch: Sequence[Pending]) -> Deliveries:
        acknowledged: list[Pending] = []
        refused: list[Refusal] = []
        for pending in batch:
            fate = self.fate.get(pending.id)
            if fate == "refused":
                refused.append(Refusal(pending, "too large", 2))
            elif fate:
                return Deliveries(acknowledged, refused, fate)
            else:
                self.delivered.append(pending)
                acknowledged.append(pending)
        return Deliveries(acknowledged, refused)


@define
class MemoryLeases:
    """`LaneLeases` on a dictionary; leases end when a test says so."""

    owners: dict[int, str | None] = field(factory=lambda: dict.fromkeys(range(LANES)))
    relays: set[str] = field(factory=set)

    async def read(self, relay: str) -> LaneTable:
        self.relays.add(relay)
        return LaneTable(owners=dict(self.owners), relays=set(self.relays))

    async def write(self, relay: str, share: LaneShare) -> frozenset[int]:
        for lane in share.release:
            if self.owners[lane] == relay:
                self.owners[lane] = None
        for lane in share.hold:
            if self.owners[lane] in {None, relay}:
                self.owners[lane] = relay
        return frozenset(lane for lane in share.hold if self.owners[lane] == relay)

    async def leave(self, relay: str) -> None:
        self.relays.discard(relay)
        self.owners = {lane: None if owner == relay else owner for lane, owner in self.owners.items()}


def living(known: Known) -> User:
    assert isinstance(known, User)
    return known
