"""The ports in memory, for tests of what stands on them; the same contract suite holds these and the real ones."""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from operator import attrgetter
from typing import Any

from attrs import define, evolve, field

from adapters.kafka.cloudevents import encode
from application.errors import UserUnknownError
from application.failure import KAFKA, Cause, Failure
from application.relay.lane_leases import LaneShare, LaneTable
from application.relay.lanes import LANES, lane_of
from application.relay.messages import DeliveryResults, Encode, OutboxMessage, Pending, RefusedMessage
from application.sessions.ports import Decide as DecideOnSession
from application.trace import traceparent
from application.users.ports import CreationKey, Decide, Listed, SignedIn
from domain.decision import Decision
from domain.revoke_session import SessionDecision
from domain.session import RevokedSession, SessionId
from domain.snapshot import Deletion, Snapshot
from domain.user import Known, Tombstone, User, UserId


@define
class MemorySessions:
    """`SessionStore` on a dictionary."""

    encode: Encode
    rows: dict[tuple[SessionId, UserId], RevokedSession] = field(factory=dict)
    outbox: list[OutboxMessage] = field(factory=list)

    async def change(self, user_id: UserId, session_id: SessionId, decide: DecideOnSession) -> SessionDecision:
        await asyncio.sleep(0)
        decision = decide(self.rows.get((session_id, user_id)))
        self.rows[session_id, user_id] = decision.session
        self.outbox += [self.encode(event, traceparent.get()) for event in decision.events]
        return decision


@define
class MemoryUsers:
    """`UserStore` and `UserReader` on a dictionary."""

    encode: Encode
    rows: dict[UserId, Known] = field(factory=dict)
    outbox: list[OutboxMessage] = field(factory=list)
    waiting: int = 0
    sessions: MemorySessions = field(factory=lambda: MemorySessions(encode))

    async def change(self, user_id: UserId, decide: Decide) -> Decision:
        await asyncio.sleep(0)  # concurrent callers really interleave
        decision = decide(self.rows.get(user_id))
        if decision.user is not self.rows.get(user_id):
            self.rows[user_id] = decision.user
            self.outbox += [self.encode(event, traceparent.get()) for event in decision.events]
        return decision

    async def get(self, user_id: UserId) -> Known:
        return self.rows.get(user_id)

    async def signed_in(self, user_id: UserId, session_id: SessionId) -> SignedIn:
        return SignedIn(self.rows.get(user_id), (session_id, user_id) in self.sessions.rows)


@define
class MemoryDirectory:
    """`UserDirectory` on the rows of `MemoryUsers`."""

    users: MemoryUsers

    async def get_many(self, user_ids: Collection[UserId]) -> Mapping[UserId, User | Tombstone]:
        return {user_id: known for user_id in user_ids if (known := self.users.rows.get(user_id))}

    async def by_email(self, email: str, *, limit: int) -> Sequence[User]:
        return [user for user in self._living() if (user.profile.email or "").lower() == email.lower()][:limit]

    async def page(
        self, *, after: UserId | None, limit: int, banned: bool | None = None, locked: bool | None = None
    ) -> Sequence[User]:
        return [
            user
            for user in self._living()
            if user.id > (after or "")
            and banned in (None, user.profile.banned)
            and locked in (None, user.profile.locked)
        ][:limit]

    async def created(self, after: CreationKey, before: int, limit: int) -> Sequence[CreationKey]:
        return [mark for mark in self._marks() if mark > after and mark.created_at < before][:limit]

    async def count(self) -> int:
        return len(self._marks())

    async def sample(self) -> Sequence[UserId]:
        marks = self._marks()
        return [mark.user_id for mark in dict.fromkeys([*marks[:5], *marks[-5:]])]

    def _marks(self) -> list[CreationKey]:
        return sorted(CreationKey(user.profile.created_at, user.id) for user in self._living())

    def _living(self) -> list[User]:
        return sorted((user for user in self.users.rows.values() if isinstance(user, User)), key=lambda user: user.id)


@define
class MemoryIdentities:
    """`ClerkUsers` that knows what it was told, and remembers what it was asked and told to do."""

    users: dict[UserId, Snapshot] = field(factory=dict)
    asked: list[UserId] = field(factory=list)
    done: list[tuple[Any, ...]] = field(factory=list)
    """Each action, the user, and what else it was given."""
    sessions: dict[UserId, list[SessionId]] = field(factory=dict)
    failure: Exception | None = None
    """What every action ends in, undone."""

    async def get(self, user_id: UserId) -> Snapshot | None:
        self.asked.append(user_id)
        return self.users.get(user_id)

    async def page(self, *, created_from: int, offset: int, limit: int) -> Sequence[Listed]:
        users = sorted(self.users.values(), key=lambda user: user.profile.created_at)
        return [user for user in users if user.profile.created_at >= created_from][offset : offset + limit]

    async def recently_updated(self, *, offset: int, limit: int) -> Sequence[Listed]:
        users = sorted(self.users.values(), key=lambda user: user.source.updated_at, reverse=True)
        return users[offset : offset + limit]

    async def count(self) -> int:
        return len(self.users)

    async def set_banned(self, user_id: UserId, *, banned: bool) -> Snapshot:
        snapshot = self._changed(user_id, "set_banned", banned, banned=banned)
        if banned:
            self.sessions.pop(user_id, None)
        return snapshot

    async def set_locked(self, user_id: UserId, *, locked: bool) -> Snapshot:
        return self._changed(user_id, "set_locked", locked, locked=locked)

    async def merge_public_metadata(self, user_id: UserId, patch: Mapping[str, Any]) -> Snapshot:
        current = self.users[user_id].profile.public_metadata if user_id in self.users else {}
        return self._changed(user_id, "merge_public_metadata", patch, public_metadata=_merged(current, patch))

    async def active_sessions(self, user_id: UserId) -> Sequence[SessionId]:
        return self.sessions.get(user_id, [])

    async def revoke_sessions(self, user_id: UserId, ended: Callable[[SessionId], object]) -> None:
        self._do(user_id, "revoke_sessions")
        for session_id in self.sessions.pop(user_id, []):
            ended(session_id)

    async def delete(self, user_id: UserId) -> Deletion:
        self._do(user_id, "delete")
        return Deletion(id=user_id, deleted_at=self.users.pop(user_id).source.updated_at + 1)

    def _do(self, user_id: UserId, action: str, *given: Any) -> None:
        if self.failure:
            raise self.failure
        if user_id not in self.users:
            raise UserUnknownError
        self.done.append((action, user_id, *given))

    def _changed(self, user_id: UserId, action: str, given: Any, **changes: Any) -> Snapshot:
        self._do(user_id, action, given)
        before = self.users[user_id]
        now = max(user.source.updated_at for user in self.users.values()) + 1
        self.users[user_id] = Snapshot.of(user_id, evolve(before.profile, **changes), updated_at=now, timestamp=now)
        return self.users[user_id]


def _merged(current: Any, patch: Any) -> Any:
    """RFC 7396, as Clerk merges metadata."""
    if not isinstance(patch, Mapping):
        return patch
    merged = dict(current) if isinstance(current, Mapping) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = _merged(merged.get(key), value)
    return merged


@define
class MemoryOutbox:
    """`Outbox` on a list."""

    rows: list[Pending] = field(factory=list)
    dead: list[RefusedMessage] = field(factory=list)
    age: Callable[[Pending], Any] = attrgetter("id")
    """Says who has waited for long; a later version of a user may be the older one."""
    newest: dict[str, int] = field(factory=dict)
    """Each user's newest version; of others nothing is."""

    def add(self, *messages: OutboxMessage) -> None:
        for message in messages:
            number = len(self.rows) + len(self.dead) + 1
            self.rows.append(Pending(id=number, lane=lane_of(message.key), stored_at=0, message=message))

    async def oldest(self, lanes: Sequence[int], limit: int, *, published: Collection[Pending] = ()) -> list[Pending]:
        await self.delete(published)
        waiting = [row for row in self.rows if row.lane in lanes]
        lowest: dict[str, list[Pending]] = {}
        for row in sorted(waiting, key=lambda row: row.message.version):
            lowest.setdefault(row.message.key, []).append(row)
        return [lowest[row.message.key].pop(0) for row in sorted(waiting, key=self.age)[:limit]]

    async def delete(self, published: Collection[Pending]) -> None:
        self.rows = [row for row in self.rows if row not in published]

    async def delete_overtaken(self, published: Collection[Pending]) -> None:
        await self.delete([row for row in published if self.newest.get(row.message.key) != row.message.version])

    async def move_to_dead_letters(self, refusals: Collection[RefusedMessage]) -> None:
        self.dead += refusals
        await self.delete([refusal.pending for refusal in refusals])


@define
class MemoryPublisher:
    """`Publisher` that delivers what its `fate` says: arrives, is refused, or is cut off by an outage."""

    fate: dict[int, str] = field(factory=dict)
    """Pending id → `refused`, or the reason of an outage that begins with it."""
    delivered: list[Pending] = field(factory=list)

    async def publish(self, batch: Sequence[Pending]) -> DeliveryResults:
        acknowledged: list[Pending] = []
        refused: list[RefusedMessage] = []
        for pending in batch:
            fate = self.fate.get(pending.id)
            if fate == "refused":
                refused.append(RefusedMessage(pending, "too large", 2))
            elif fate:
                return DeliveryResults(acknowledged, refused, Failure(KAFKA, Cause.OTHER, fate))
            else:
                self.delivered.append(pending)
                acknowledged.append(pending)
        return DeliveryResults(acknowledged, refused)

    def versions(self) -> dict[str, list[int]]:
        """Return the versions of each user as a consumer takes them: what it has seen it drops."""
        taken: dict[str, list[int]] = {}
        for item in self.delivered:
            versions = taken.setdefault(item.message.key, [])
            if item.message.version > max(versions, default=0):
                versions.append(item.message.version)
        return taken


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
