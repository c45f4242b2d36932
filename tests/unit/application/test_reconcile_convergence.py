"""Any drift, and any webhooks while it is repaired, end in Clerk's state, with one event for each change."""

import asyncio
from collections.abc import Callable
from itertools import pairwise

from attrs import define, field
from hypothesis import given, settings
from hypothesis import strategies as st

from application.reconcile.drift import DeletionLimit
from application.reconcile.options import PageSizes
from domain.snapshot import Deletion, Snapshot
from domain.user import Tombstone, User, UserId
from support.reconciling import World
from support.users import snapshot

IDS = [UserId(f"user_{number}") for number in range(8)]
SMALL_PAGES = PageSizes(clerk=3, overlap=1, ours=2)
ANYBODY = DeletionLimit(share=1, at_least=100, explicit=True)


@define
class Change:
    """What happens to one user at Clerk: it is made, it is changed, or, in the end, it goes."""

    user_id: UserId
    name: str
    deletes: bool
    lost: bool
    """Its webhook never comes; only before the run."""
    late: int
    """How many steps its webhook takes."""
    same_ms: bool
    """In the millisecond of the change before it."""


def changes(**fixed: bool) -> st.SearchStrategy[list[Change]]:
    parts = {
        "user_id": st.sampled_from(IDS),
        "name": st.sampled_from(["Ada", "Grace", "Joan"]),
        "deletes": st.sampled_from([False, False, False, True]),
        "lost": st.booleans(),
        "late": st.integers(0, 6),
        "same_ms": st.booleans(),
    }
    return st.lists(st.builds(Change, **parts | {key: st.just(value) for key, value in fixed.items()}), max_size=14)


@define
class Life:
    """Plays changes at Clerk, and sends their webhooks."""

    world: World
    created: dict[UserId, int]
    ever: set[UserId] = field(factory=set)
    on_the_way: list[tuple[int, Snapshot | Deletion]] = field(factory=list)
    steps: int = 0

    def play(self, change: Change) -> None:
        clerk = self.world.clerk
        clerk.now += not change.same_ms
        news: Snapshot | Deletion
        if change.deletes:
            if clerk.users.pop(change.user_id, None) is None:
                return
            news = Deletion(id=change.user_id, deleted_at=clerk.now)
        elif change.user_id in self.ever and change.user_id not in clerk.users:
            return  # Clerk gives no id twice
        else:
            made = self.created[change.user_id]
            news = snapshot(change.user_id, at=clerk.now, timestamp=clerk.now, first_name=change.name, created_at=made)
            clerk.put(news)
            # The event is made a moment later, and the next reading later still.
            clerk.now += 1
            news = snapshot(
                change.user_id, at=news.source.updated_at, timestamp=clerk.now, first_name=change.name, created_at=made
            )
        self.ever.add(change.user_id)
        if not change.lost:
            self.on_the_way.append((self.steps + change.late, news))

    async def deliver(self, *, everything: bool = False) -> None:
        self.steps += 1
        arrived = [item for item in self.on_the_way if everything or item[0] <= self.steps]
        self.on_the_way = [item for item in self.on_the_way if item not in arrived]
        for _, news in arrived:
            await (self.world.sync(news) if isinstance(news, Snapshot) else self.world.delete(news))


def content(world: World) -> dict[UserId, object]:
    return {user_id: user.profile for user_id, user in world.users.rows.items() if isinstance(user, User)}


@settings(max_examples=300)
@given(
    created=st.fixed_dictionaries({user_id: st.integers(1000, 1003) for user_id in IDS}),
    before=changes(),
    during=changes(lost=False),
    every=st.integers(1, 3),
)
async def test_any_drift_and_any_webhooks_meanwhile_end_in_clerks_state(created, before, during, every):
    world = World(sizes=SMALL_PAGES)
    life = Life(world, created)
    for change in before:
        life.play(change)
        await life.deliver()
    quiet = not during and not life.on_the_way
    untouched = dict(world.users.rows)
    settled = content(world) == {user_id: user.profile for user_id, user in world.clerk.users.items()}
    stored_before = len(world.users.outbox)

    hook = _plays(life, during, every)
    world.clerk.before_answer = hook
    done = asyncio.Event()
    webhooks = asyncio.create_task(_keep_delivering(life, done))
    await world.reconcile(allowance=ANYBODY)
    done.set()
    await webhooks
    world.clerk.before_answer = lambda _: None
    for change in during[hook.played :]:
        life.play(change)
    await life.deliver(everything=True)

    assert content(world) == {user_id: user.profile for user_id, user in world.clerk.users.items()}
    assert all(
        isinstance(world.users.rows[user_id], Tombstone) for user_id in set(world.users.rows) - set(content(world))
    )
    _each_event_is_a_change(world)
    if settled and quiet:
        assert len(world.users.outbox) == stored_before
        assert {user_id: getattr(user, "version", None) for user_id, user in untouched.items()} == {
            user_id: getattr(user, "version", None) for user_id, user in world.users.rows.items()
        }
    assert await world.reconcile(allowance=ANYBODY, dry_run=True) == {}


class _plays:  # noqa: N801  # a hook that counts
    """Plays the next change at each so-manieth question."""

    def __init__(self, life: Life, during: list[Change], every: int) -> None:
        self._life, self._during, self._every = life, during, every
        self._questions = self.played = 0

    def __call__(self, _: str) -> None:
        self._questions += 1
        if self._questions % self._every == 0 and self.played < len(self._during):
            self._life.play(self._during[self.played])
            self.played += 1


async def _keep_delivering(life: Life, done: asyncio.Event) -> None:
    while not done.is_set():
        await life.deliver()
        await asyncio.sleep(0)


def _each_event_is_a_change(world: World) -> None:
    by_user: dict[str, list[bytes]] = {}
    for event in world.users.outbox:
        versions = by_user.setdefault(event.key, [])
        versions.append(event.payload)
        assert event.version == len(versions)
    names: Callable[[bytes], bytes] = lambda payload: payload.partition(b'"first_name":')[2].partition(b",")[0]  # noqa: E731
    for payloads in by_user.values():
        assert all(names(earlier) != names(later) for earlier, later in pairwise(payloads))
