import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from attrs import define, field

from adapters.kafka.cloudevents import encode
from application.errors import (
    ClerkNotConfiguredError,
    ClerkUnavailableError,
    StoreUnavailableError,
    UnstorableError,
    UserBannedError,
    UserDeletedError,
    UserUnknownError,
)
from application.users import just_in_time
from application.users.delete_user import DeleteUser
from application.users.get_current_user import GetCurrentUser
from application.users.just_in_time import UNKNOWN_FOR_S, JustInTimeSync
from application.users.sync_user import SyncUser
from domain.session import SessionId
from domain.snapshot import Snapshot
from domain.user import Tombstone, User, UserId
from support.memory import MemoryUsers, living
from support.users import USER, deletion, snapshot


@define
class Clerk:
    """An `ClerkUsers` that answers when the test lets it."""

    answer: Snapshot | Exception | None = None
    asked: list[UserId] = field(factory=list)
    open: asyncio.Event = field(factory=asyncio.Event)

    async def get(self, user_id: UserId) -> Snapshot | None:
        self.asked.append(user_id)
        await self.open.wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


SESSION = SessionId("sess_1")


@define
class World:
    clerk: Clerk = field(factory=Clerk)
    users: MemoryUsers = field(factory=lambda: MemoryUsers(encode))
    now: float = 0.0
    current: GetCurrentUser = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.clerk.open.set()
        clerk: Any = self.clerk  # of a `ClerkUsers`, `get` alone is called
        obtain = JustInTimeSync(self.users, clerk, SyncUser(self.users), lambda: self.now)
        self.current = GetCurrentUser(self.users, obtain)

    @property
    def just_in_time(self) -> JustInTimeSync:
        return self.current.just_in_time

    @contextmanager
    def while_clerk_thinks(self) -> Iterator[None]:
        """What happens inside happens before Clerk answers."""
        self.clerk.open.clear()
        yield
        self.clerk.open.set()

    async def requests(self, count: int) -> list[asyncio.Task[User]]:
        """Start requests that all wait for Clerk."""
        tasks = [asyncio.create_task(self.current(USER, SESSION)) for _ in range(count)]
        await settled()
        return tasks


async def settled() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def unavailable() -> ClerkUnavailableError:
    return ClerkUnavailableError("down")


async def test_a_user_that_clerk_knows_is_stored_and_announced(world):
    world.clerk.answer = snapshot()
    user = await world.current(USER, SESSION)

    assert user == world.users.rows[USER]
    assert [message.type for message in world.users.outbox] == ["anomalyze.user.created.v1"]


async def test_a_stampede_of_200_requests_asks_clerk_once(world):
    world.clerk.answer = snapshot()
    with world.while_clerk_thinks():
        requests = await world.requests(200)
    users = await asyncio.gather(*requests)

    assert {user.version for user in users} == {1}
    assert world.clerk.asked == [USER]
    assert len(world.users.outbox) == 1


async def test_users_do_not_wait_for_each_other(world):
    other = UserId("user_other")
    with world.while_clerk_thinks():
        tasks = [asyncio.create_task(world.current(who, SESSION)) for who in (USER, other)]
        await settled()

        assert world.clerk.asked == [USER, other]
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_stampede_on_a_fault_asks_clerk_once_and_everybody_hears_of_it(world, unavailable):
    world.clerk.answer = unavailable
    with world.while_clerk_thinks():
        requests = await world.requests(200)
    outcomes = await asyncio.gather(*requests, return_exceptions=True)

    assert {type(outcome) for outcome in outcomes} == {ClerkUnavailableError}
    assert world.clerk.asked == [USER]


async def test_a_fault_is_not_remembered(world, unavailable):
    world.clerk.answer = unavailable
    with pytest.raises(ClerkUnavailableError):
        await world.current(USER, SESSION)
    world.clerk.answer = snapshot()

    assert (await world.current(USER, SESSION)).version == 1


async def test_that_clerk_has_none_is_remembered_for_seconds(world):
    with pytest.raises(UserUnknownError):
        await world.current(USER, SESSION)
    world.clerk.answer = snapshot()
    world.now = UNKNOWN_FOR_S - 0.001
    with pytest.raises(UserUnknownError):
        await world.current(USER, SESSION)
    world.now = UNKNOWN_FOR_S

    assert (await world.current(USER, SESSION)).version == 1
    assert world.clerk.asked == [USER, USER]


async def test_a_webhook_is_noticed_while_it_is_remembered_that_clerk_has_none(world):
    with pytest.raises(UserUnknownError):
        await world.current(USER, SESSION)
    await SyncUser(world.users)(snapshot())

    assert (await world.current(USER, SESSION)).version == 1


@pytest.mark.parametrize("answer", [None, ClerkUnavailableError("slow")])
async def test_a_webhook_that_lands_while_clerk_thinks_is_noticed(world, answer):
    world.clerk.answer = answer
    with world.while_clerk_thinks():
        [request] = await world.requests(1)
        await SyncUser(world.users)(snapshot())

    assert (await request).version == 1
    await SyncUser(world.users)(snapshot(at=2000, banned=True))
    with pytest.raises(UserBannedError):  # nothing of the detour is remembered
        await world.current(USER, SESSION)


async def test_a_newer_webhook_that_lands_while_clerk_thinks_is_not_overwritten(world):
    world.clerk.answer = snapshot(at=1000)
    with world.while_clerk_thinks():
        [request] = await world.requests(1)
        await SyncUser(world.users)(snapshot(at=2000, first_name="Grace"))

    assert (await request).profile.first_name == "Grace"


async def test_a_deletion_that_lands_while_clerk_thinks_wins(world):
    world.clerk.answer = snapshot()
    with world.while_clerk_thinks():
        [request] = await world.requests(1)
        await DeleteUser(world.users)(deletion())

    with pytest.raises(UserDeletedError):
        await request
    assert isinstance(world.users.rows[USER], Tombstone)


async def test_the_late_webhook_moves_the_time_and_tells_nobody(world):
    world.clerk.answer = snapshot(at=1000, timestamp=9000)
    await world.current(USER, SESSION)
    await SyncUser(world.users)(snapshot(at=1000, timestamp=1001))  # the webhook of the sign-up
    await SyncUser(world.users)(snapshot(at=1500))  # that of the sign-in right after it

    assert living(world.users.rows[USER]).version == 1
    assert living(world.users.rows[USER]).source.updated_at == 1500
    assert len(world.users.outbox) == 1


@pytest.mark.parametrize("leaves", [0, 1, 2])
async def test_a_client_that_leaves_does_not_take_the_answer_from_the_others(world, leaves):
    world.clerk.answer = snapshot()
    with world.while_clerk_thinks():
        requests = await world.requests(3)
        requests[leaves].cancel()
        await settled()
    outcomes = await asyncio.gather(*requests, return_exceptions=True)

    assert isinstance(outcomes.pop(leaves), asyncio.CancelledError)
    assert [user.version for user in outcomes] == [1, 1]
    assert world.clerk.asked == [USER]


async def test_when_all_clients_left_the_user_is_stored_all_the_same(world):
    world.clerk.answer = snapshot()
    with world.while_clerk_thinks():
        requests = await world.requests(2)
        for request in requests:
            request.cancel()
        await settled()
    await settled()

    assert world.users.rows[USER].version == 1


async def test_a_fault_that_nobody_waits_for_leaves_no_trace(world, unavailable):
    world.clerk.answer = unavailable
    with world.while_clerk_thinks():
        [request] = await world.requests(1)
        request.cancel()
        await settled()
    await settled()

    assert world.just_in_time._flights == {}


async def test_a_reading_older_than_the_end_of_the_flight_does_not_ask_clerk_again(world):
    world.clerk.answer = snapshot()
    await world.current(USER, SESSION)

    assert (await world.just_in_time(USER)).version == 1
    assert world.clerk.asked == [USER]


async def test_something_that_hangs_past_its_own_bound_ends_for_everybody_and_is_tried_again(world, monkeypatch):
    monkeypatch.setattr(just_in_time, "LIMIT_S", 0.01)
    world.clerk.answer = snapshot()
    with world.while_clerk_thinks():
        requests = await world.requests(2)
        outcomes = await asyncio.gather(*requests, return_exceptions=True)

        assert {type(outcome) for outcome in outcomes} == {ClerkUnavailableError}

    assert (await world.current(USER, SESSION)).version == 1


@pytest.mark.parametrize("error", [StoreUnavailableError("down"), UnstorableError("no")])
async def test_a_user_that_cannot_be_stored_is_told_so_and_not_remembered(world, monkeypatch, error):
    async def fail(*_):
        raise error

    world.clerk.answer = snapshot()
    with monkeypatch.context() as patch:
        patch.setattr(MemoryUsers, "change", fail)
        with pytest.raises(type(error)):
            await world.current(USER, SESSION)

    assert (await world.current(USER, SESSION)).version == 1


async def test_what_is_remembered_is_bounded_and_the_oldest_goes_first(world, monkeypatch):
    monkeypatch.setattr(just_in_time, "UNKNOWN_AT_MOST", 3)
    for number in (1, 2, 3, 1, 4):
        world.now += 1 if number != 1 else UNKNOWN_FOR_S
        with pytest.raises(UserUnknownError):
            await world.current(UserId(f"user_{number}"), SESSION)

    assert list(world.just_in_time._unknown_until) == ["user_3", "user_1", "user_4"]


async def test_a_user_we_have_is_one_reading_and_no_flight(world, monkeypatch):
    readings = []
    read = MemoryUsers.signed_in

    async def counted(self, user_id, session_id):
        readings.append(user_id)
        return await read(self, user_id, session_id)

    monkeypatch.setattr(MemoryUsers, "signed_in", counted)
    await SyncUser(world.users)(snapshot())
    await world.current(USER, SESSION)

    assert readings == [USER]
    assert world.clerk.asked == []


async def test_without_a_key_to_ask_clerk_with_a_user_we_do_not_have_is_unknown(world):
    world.clerk.answer = ClerkNotConfiguredError("there is no CLERK_SECRET_KEY")

    with pytest.raises(UserUnknownError):
        await world.current(USER, SESSION)
