"""What is done through Clerk: the caller reads its own write, and the webhook that follows is old news."""

from collections.abc import Callable
from typing import Any

import pytest
from attrs import define, field
from hypothesis import given
from hypothesis import strategies as st

from adapters.kafka.cloudevents import encode
from application.errors import (
    ClerkRefusedError,
    ClerkUnavailableError,
    SafetyStopError,
    StoreUnavailableError,
    UserDeletedError,
    UserUnknownError,
)
from application.sessions.revoke_session import RevokeSession
from application.users.delete_user import DeleteUser
from application.users.manage_users import ManageUsers
from application.users.sync_user import SyncUser
from domain.decision import Outcome
from domain.session import SessionId
from domain.user import Tombstone, UserId
from support.memory import MemoryDirectory, MemoryIdentities, MemoryUsers, living
from support.users import USER, deletion, snapshot

NOW_MS = 50_000


@define(slots=False)
class World:
    """Clerk, our users, and every use case between them."""

    clerk: MemoryIdentities = field(factory=MemoryIdentities)
    users: MemoryUsers = field(factory=lambda: MemoryUsers(encode))

    def __attrs_post_init__(self) -> None:
        self.sync_user, self.delete_user = SyncUser(self.users), DeleteUser(self.users)
        manage = ManageUsers(
            users=self.users,
            directory=MemoryDirectory(self.users),
            identities=self.clerk,
            sync_user=self.sync_user,
            delete_user=self.delete_user,
            revoke_session=RevokeSession(self.users.sessions),
            now_ms=lambda: NOW_MS,
        )
        self.actions: dict[str, Any] = {
            "ban": manage.ban,
            "unban": manage.unban,
            "lock": manage.lock,
            "unlock": manage.unlock,
        }
        self.set_public_metadata, self.revoke_sessions = manage.set_public_metadata, manage.revoke_sessions
        self.delete, self.sync = manage.delete, manage.sync

    async def ours(self) -> Any:
        return await self.users.get(USER)


@pytest.fixture
def world() -> World:
    return World()


@given(st.lists(st.sampled_from(["ban", "unban", "lock", "unlock"]), max_size=8), st.booleans())
async def test_after_every_action_our_row_is_clerks_and_each_webhook_that_follows_changes_nothing(names, known):
    world = World()
    world.clerk.users[USER] = snapshot()
    if known:
        await world.sync_user(snapshot())
    for name in names:
        decision = await world.actions[name](USER)

        assert living(await world.ours()).profile == world.clerk.users[USER].profile
        assert living(decision.user).profile == world.clerk.users[USER].profile
        assert (await world.sync_user(world.clerk.users[USER])).outcome == Outcome.UNCHANGED
    versions = [message.version for message in world.users.outbox]

    assert versions == list(range(1, len(versions) + 1))


async def test_metadata_is_merged_at_clerk_and_taken_over(world):
    world.clerk.users[USER] = snapshot(public_metadata={"plan": "free", "seats": 1})

    decision = await world.set_public_metadata(USER, {"plan": None, "team": {"id": 7}})

    assert living(decision.user).profile.public_metadata == {"seats": 1, "team": {"id": 7}}
    assert living(await world.ours()).profile.public_metadata == {"seats": 1, "team": {"id": 7}}


@pytest.mark.parametrize("name", ["ban", "unban", "lock", "unlock"])
async def test_nothing_is_done_to_a_user_whom_we_know_to_be_deleted(world, name):
    world.clerk.users[USER] = snapshot()
    await world.delete_user(deletion())

    for act in (world.actions[name], world.revoke_sessions, lambda user: world.set_public_metadata(user, {})):
        with pytest.raises(UserDeletedError):
            await act(USER)
    assert world.clerk.done == []


async def test_an_action_on_somebody_whom_clerk_does_not_have_leaves_our_row_alone(world):
    await world.sync_user(snapshot())

    with pytest.raises(UserUnknownError):
        await world.actions["ban"](USER)
    assert living(await world.ours()).version == 1


async def test_what_clerk_refuses_changes_nothing_here(world):
    world.clerk.users[USER] = snapshot()
    await world.sync_user(snapshot())
    world.clerk.failure = ClerkRefusedError("no", status=402, codes=("payment_required",))

    for act in (world.actions["ban"], world.delete):
        with pytest.raises(ClerkRefusedError):
            await act(USER)
    assert living(await world.ours()).version == 1


async def test_deleting_is_for_good_here_and_there_and_a_second_time_unchanged(world):
    world.clerk.users[USER] = snapshot()
    await world.sync_user(snapshot())

    assert (await world.delete(USER)).outcome == Outcome.DELETED
    assert isinstance(await world.ours(), Tombstone)
    assert USER not in world.clerk.users
    assert (await world.delete(USER)).outcome == Outcome.UNCHANGED


async def test_a_user_whom_only_we_still_have_is_deleted_when_that_is_wanted(world):
    await world.sync_user(snapshot())

    assert (await world.delete(USER)).outcome == Outcome.DELETED


async def test_deleting_somebody_unknown_to_both_leaves_no_tombstone(world):
    with pytest.raises(UserUnknownError):
        await world.delete(USER)
    assert await world.ours() is None


async def test_a_sync_creates_updates_and_deletes_after_clerks_word(world):
    world.clerk.users[USER] = snapshot(at=1000)
    outcomes = [(await world.sync(USER)).outcome, (await world.sync(USER)).outcome]
    world.clerk.users[USER] = snapshot(at=2000, first_name="Augusta")
    outcomes.append((await world.sync(USER)).outcome)
    del world.clerk.users[USER]
    outcomes += [(await world.sync(USER)).outcome, (await world.sync(USER)).outcome]

    assert outcomes == ["created", "unchanged", "updated", "deleted", "unchanged"]


async def test_a_sync_deletes_nobody_when_clerk_knows_none_of_ours(world):
    for number in range(3):
        await world.sync_user(snapshot(UserId(f"user_{number}")))
    await world.sync_user(snapshot())

    with pytest.raises(SafetyStopError):
        await world.sync(USER)
    assert living(await world.ours()).version == 1

    world.clerk.users[UserId("user_1")] = snapshot(UserId("user_1"))
    assert (await world.sync(USER)).outcome == Outcome.DELETED


async def test_a_sync_does_not_resurrect(world):
    world.clerk.users[USER] = snapshot()
    await world.delete_user(deletion())

    assert (await world.sync(USER)).outcome == Outcome.STALE
    assert isinstance(await world.ours(), Tombstone)


async def test_a_sync_of_somebody_unknown_to_both_says_so(world):
    with pytest.raises(UserUnknownError):
        await world.sync(USER)


SESSIONS = [SessionId(f"sess_{number}") for number in range(3)]


def recorded(world: World) -> dict[str, int]:
    return {session.id: session.revoked_at for session in world.users.sessions.rows.values()}


async def test_sessions_are_ended_at_clerk_recorded_and_counted(world):
    world.clerk.users[USER] = snapshot()
    world.clerk.sessions[USER] = list(SESSIONS)

    assert await world.revoke_sessions(USER) == 3
    assert await world.revoke_sessions(USER) == 0
    assert recorded(world) == dict.fromkeys(SESSIONS, NOW_MS)
    assert [message.key for message in world.users.sessions.outbox] == SESSIONS


async def test_what_clerk_ended_is_recorded_although_a_later_session_cannot_be_ended(world, monkeypatch):
    world.clerk.users[USER] = snapshot()

    async def revoke_sessions(_: UserId, ended: Callable[[SessionId], object]) -> None:
        ended(SESSIONS[0])
        ended(SESSIONS[1])
        raise ClerkUnavailableError("and there are more")

    monkeypatch.setattr(MemoryIdentities, "revoke_sessions", lambda _, *given: revoke_sessions(*given))

    with pytest.raises(ClerkUnavailableError):
        await world.revoke_sessions(USER)
    assert recorded(world).keys() == set(SESSIONS[:2])


async def test_a_ban_records_the_sessions_that_it_ended(world):
    world.clerk.users[USER] = snapshot()
    world.clerk.sessions[USER] = list(SESSIONS)

    await world.actions["ban"](USER)

    assert recorded(world).keys() == set(SESSIONS)


async def test_a_ban_that_is_done_at_clerk_and_cannot_be_stored_records_its_sessions_all_the_same(world, monkeypatch):
    world.clerk.users[USER] = snapshot()
    world.clerk.sessions[USER] = list(SESSIONS)

    async def unavailable(*_: object) -> None:
        raise StoreUnavailableError("down")

    monkeypatch.setattr(MemoryUsers, "change", unavailable)

    with pytest.raises(StoreUnavailableError):
        await world.actions["ban"](USER)
    assert recorded(world).keys() == set(SESSIONS)


async def test_a_ban_is_done_although_clerk_does_not_list_the_sessions(world, monkeypatch):
    world.clerk.users[USER] = snapshot()

    async def unavailable(*_: object) -> None:
        raise ClerkUnavailableError("no list")

    monkeypatch.setattr(MemoryIdentities, "active_sessions", unavailable)

    assert (await world.actions["ban"](USER)).user.profile.banned
    assert recorded(world) == {}


async def test_an_unknown_user_cannot_be_banned_and_nothing_is_recorded(world):
    world.clerk.sessions[USER] = list(SESSIONS)

    with pytest.raises(UserUnknownError):
        await world.actions["ban"](USER)
    assert recorded(world) == {}
