"""Clerk's list, our living users and a checkpoint in memory; the same contract suites hold these and the real ones."""

import asyncio
from collections.abc import Callable, Sequence

from attrs import define, evolve, field

from adapters.kafka.cloudevents import encode
from application.reconcile.drift import Difference
from application.reconcile.options import PageSizes, ReconcileOptions, ReconcileProgress
from application.reconcile.ports import Checkpoint
from application.reconcile.run import Reconcile
from application.users.delete_user import DeleteUser
from application.users.ports import Listed, Unreadable
from application.users.sync_user import SyncUser
from domain.snapshot import Snapshot
from domain.user import UserId
from support.memory import MemoryDirectory, MemoryUsers
from support.users import snapshot

NOW = 1_800_000_000_000


@define
class MemoryClerk:
    """`ClerkUsers` as far as it lists and looks up; the clock is `now` (ms)."""

    users: dict[UserId, Snapshot] = field(factory=dict)
    unreadable: dict[UserId, Unreadable] = field(factory=dict)
    now: int = NOW
    asked: list[str] = field(factory=list)
    before_answer: Callable[[str], None] = field(default=lambda _: None)
    """Is told each question before it is answered; may change users, or raise."""
    counts: int | None = None
    """What `count` answers, instead of the truth."""

    def put(self, snapshot: Snapshot) -> None:
        self.users[snapshot.id] = snapshot

    async def get(self, user_id: UserId) -> Snapshot | None:
        asked_at = self.now
        await self._ask(f"get {user_id}")
        found = self.users.get(user_id)
        return _read_at(asked_at, found) if found else None

    async def page(self, *, created_from: int, offset: int, limit: int) -> Sequence[Listed]:
        asked_at = self.now
        await self._ask(f"page {created_from}+{offset}")
        listed = [user for user in self._listed(asked_at, _created) if _created(user) >= created_from]
        return listed[offset : offset + limit]

    async def recently_updated(self, *, offset: int, limit: int) -> Sequence[Listed]:
        asked_at = self.now
        await self._ask(f"recent +{offset}")
        return self._listed(asked_at, lambda user: -_updated(user))[offset : offset + limit]

    async def count(self) -> int:
        await self._ask("count")
        return len(self.users) + len(self.unreadable) if self.counts is None else self.counts

    async def _ask(self, what: str) -> None:
        self.asked.append(what)
        await asyncio.sleep(0)
        self.before_answer(what)

    def _listed(self, asked_at: int, key: Callable[[Listed], int]) -> list[Listed]:
        users: list[Listed] = [*(_read_at(asked_at, user) for user in self.users.values()), *self.unreadable.values()]
        return sorted(users, key=lambda user: (key(user), user.id))


@define
class MemoryCheckpoints:
    """`Checkpoints` in a variable."""

    run: str | None = None
    left: Checkpoint | None = None

    async def take(self, run: str, *, began_after: int) -> Checkpoint | None:
        self.run = run
        if self.left and self.left.began_at <= began_after:
            self.left = None
        return self.left

    async def save(self, run: str, checkpoint: Checkpoint) -> None:
        if run == self.run:
            self.left = checkpoint

    async def finish(self, run: str) -> None:
        if run == self.run:
            self.run = self.left = None


@define
class World:
    """A reconcile on all of these, and what it said."""

    clerk: MemoryClerk = field(factory=MemoryClerk)
    users: MemoryUsers = field(factory=lambda: MemoryUsers(encode))
    checkpoints: MemoryCheckpoints = field(factory=MemoryCheckpoints)
    told: list[Difference] = field(factory=list)
    waited: list[str] = field(factory=list)
    agrees: bool = True
    """What the answer is when it is asked whether users may be deleted."""
    asked: list[list[UserId]] = field(factory=list)
    seconds: float = 0.0
    tally: ReconcileProgress = field(factory=ReconcileProgress)
    sizes: PageSizes = field(factory=PageSizes)

    @property
    def sync(self) -> SyncUser:
        return SyncUser(self.users)

    @property
    def delete(self) -> DeleteUser:
        return DeleteUser(self.users)

    @property
    def events(self) -> list[tuple[str, int, str]]:
        """(user, version, kind), in the order they were stored."""
        return [(event.key, event.version, event.type.split(".")[-2]) for event in self.users.outbox]

    async def reconcile(self, **order: object) -> dict[str, str]:
        """Run once, and return what differed: user → difference, with a `!` when it was not repaired."""
        self.tally, before = ReconcileProgress(), len(self.told)
        run = Reconcile(
            identities=self.clerk,  # type: ignore[arg-type]  # no actions
            users=MemoryDirectory(self.users),
            sync_user=self.sync,
            delete_user=self.delete,
            checkpoints=self.checkpoints,
            now_ms=lambda: self.clerk.now,
            clock=self._clock,
            sleep=self._sleep,
            new_run=lambda: f"run-{len(self.clerk.asked)}",
            sizes=self.sizes,
        )
        await run(ReconcileOptions(**order), self.tally, self)  # type: ignore[arg-type]
        return {item.user_id: item.drift + "!" * (not item.repaired) for item in self.told[before:]}

    def began(self, tally: ReconcileProgress) -> None:
        assert tally.began_at

    def progressed(self, tally: ReconcileProgress) -> None:
        assert tally is self.tally

    def differs(self, difference: Difference) -> None:
        self.told.append(difference)

    async def may_delete(self, gone: Sequence[UserId]) -> bool:
        assert gone
        self.asked.append([*gone])
        return self.agrees

    def waits(self, reason: str, seconds: float) -> None:
        assert seconds > 0
        self.waited.append(reason)

    def _clock(self) -> float:
        self.seconds += 0.6  # every other page is a checkpoint
        return self.seconds

    async def _sleep(self, seconds: float) -> None:
        self.seconds += seconds
        await asyncio.sleep(0)


def _read_at(moment: int, user: Snapshot) -> Snapshot:
    return evolve(user, source=evolve(user.source, timestamp=moment))


def _created(user: Listed) -> int:
    return user.profile.created_at if isinstance(user, Snapshot) else user.created_at or 0


def _updated(user: Listed) -> int:
    return user.source.updated_at if isinstance(user, Snapshot) else NOW


def name(number: int) -> UserId:
    return UserId(f"user_{number:03}")


def clerk_user(number: int, *, at: int = 0, timestamp: int = 0, **changes: object) -> Snapshot:
    """A user whose time of creation follows from its number, unless it is told."""
    created = changes.pop("created_at", 1000 * number)
    at = at or 1000 * number
    return snapshot(name(number), at=at, timestamp=timestamp or at, created_at=created, **changes)


async def twenty_users() -> World:
    """The same on both sides."""
    world = World()
    for number in range(20):
        user = clerk_user(number)
        world.clerk.put(user)
        await world.sync(user)
    world.users.outbox.clear()
    return world
