"""What `ClerkUsers` promises, asked of the fake and of the Clerk SDK against the stand-in over real HTTP."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from attrs import frozen

from adapters.clerk import backend_api
from adapters.clerk.backend_api import BackendApi
from adapters.clerk.identities import BACKGROUND, ClerkIdentities
from application.errors import (
    ClerkLimitedError,
    ClerkRefusedError,
    ClerkUnavailableError,
    UserUnknownError,
)
from application.users.ports import ClerkUsers, Unreadable
from domain.session import SessionId
from domain.snapshot import Snapshot
from domain.user import UserId
from support.clerk_stand_in import RunningStandIn, running_stand_in
from support.memory import MemoryIdentities
from support.users import snapshot

pytestmark = pytest.mark.filterwarnings("ignore:warning. .. DEPRECATED:DeprecationWarning")

ADA, GRACE = UserId("user_ada"), UserId("user_grace")


@frozen
class World:
    provider: ClerkUsers
    add: Callable[..., None]
    """A user, with `public_metadata`; each was created after the one before."""
    sign_in: Callable[[UserId], object]


@pytest.fixture(params=["fake", "Clerk SDK"])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    if request.param == "fake":
        memory = MemoryIdentities()

        def remember(user_id: UserId, **fields: Any) -> None:
            at = 1000 + len(memory.users)
            memory.users[user_id] = snapshot(user_id, at=at, created_at=at, **fields)

        def begin(user_id: UserId) -> None:
            memory.sessions.setdefault(user_id, []).append(SessionId(f"sess_{len(memory.sessions.get(user_id, []))}"))

        yield World(memory, remember, begin)
        return
    with running_stand_in() as clerk:
        at = iter(range(1_700_000_000_000, 1_800_000_000_000, 1000))
        clerk.instance.now_ms = lambda: next(at)

        def create(user_id: UserId, **fields: Any) -> None:
            clerk.instance.create(user_id, email_address=[f"{user_id}@example.org"], **fields)

        async with _provider(clerk) as provider:
            yield World(provider, create, clerk.instance.sign_in)


@asynccontextmanager
async def _provider(clerk: RunningStandIn) -> AsyncIterator[ClerkIdentities]:
    api = BackendApi(clerk.secret_key, clerk.url)
    try:
        yield ClerkIdentities(api, BACKGROUND, now_ms=lambda: time.time_ns() // 1_000_000)
    finally:
        await api.aclose()


async def test_a_user_is_read_and_one_who_is_not_there_is_none(world):
    world.add(ADA, public_metadata={"plan": "pro"})

    found = await world.provider.get(ADA)

    assert found.id == ADA
    assert found.profile.public_metadata == {"plan": "pro"}
    assert await world.provider.get(GRACE) is None


@pytest.mark.parametrize(("action", "field"), [("set_banned", "banned"), ("set_locked", "locked")])
async def test_an_action_answers_the_user_as_it_is_afterwards_and_doing_it_twice_is_no_error(world, action, field):
    world.add(ADA)
    act = getattr(world.provider, action)

    for wanted in (True, True, False, False):
        answered = await act(ADA, **{field: wanted})

        assert getattr(answered.profile, field) is wanted
        assert getattr((await world.provider.get(ADA)).profile, field) is wanted


async def test_public_metadata_is_merged_deeply_and_null_takes_a_key_away(world):
    world.add(ADA, public_metadata={"keep": 1, "plan": {"name": "free", "seats": 3}, "gone": True})

    answered = await world.provider.merge_public_metadata(ADA, {"plan": {"name": "pro"}, "gone": None})

    assert answered.profile.public_metadata == {"keep": 1, "plan": {"name": "pro", "seats": 3}}


async def test_all_sessions_are_ended_and_counted(world):
    world.add(ADA)
    for _ in range(3):
        world.sign_in(ADA)

    active = await world.provider.active_sessions(ADA)
    ended: list[SessionId] = []
    await world.provider.revoke_sessions(ADA, ended.append)

    assert len(ended) == 3
    assert set(ended) == set(active)
    assert await world.provider.active_sessions(ADA) == []
    await world.provider.revoke_sessions(ADA, ended.append)
    assert len(ended) == 3


async def test_a_deleted_user_is_gone(world):
    world.add(ADA)

    deletion = await world.provider.delete(ADA)

    assert deletion.id == ADA
    assert await world.provider.get(ADA) is None
    assert await world.provider.count() == 0


@pytest.mark.parametrize(
    "act",
    [
        lambda provider: provider.set_banned(ADA, banned=True),
        lambda provider: provider.set_locked(ADA, locked=False),
        lambda provider: provider.merge_public_metadata(ADA, {"a": 1}),
        lambda provider: provider.revoke_sessions(ADA, lambda _: None),
        lambda provider: provider.delete(ADA),
    ],
)
async def test_an_action_on_somebody_who_is_not_there_says_so(world, act):
    with pytest.raises(UserUnknownError):
        await act(world.provider)


async def test_users_are_paged_by_creation_from_a_moment_on_and_by_change_newest_first(world):
    ids = [UserId(f"user_{number}") for number in range(7)]
    for user_id in ids:
        world.add(user_id)

    first = await world.provider.page(created_from=0, offset=0, limit=3)
    rest = await world.provider.page(created_from=first[-1].profile.created_at, offset=0, limit=500)
    beyond = await world.provider.page(created_from=0, offset=6, limit=3)

    assert [user.id for user in first] == ids[:3]
    assert [user.id for user in rest] == ids[2:]
    assert [user.id for user in beyond] == ids[6:]
    assert await world.provider.count() == 7
    await world.provider.set_banned(ids[1], banned=True)
    newest, *_ = await world.provider.recently_updated(offset=0, limit=2)
    assert newest.id == ids[1]


async def test_a_limit_beyond_clerks_own_is_brought_down_to_it(world):
    for number in range(12):
        world.add(UserId(f"user_{number}"))

    assert len(await world.provider.page(created_from=0, offset=0, limit=100_000)) == 12


async def test_a_listed_user_who_cannot_be_read_takes_nothing_from_the_others():
    with running_stand_in() as clerk:
        clerk.instance.create(ADA)
        clerk.instance.create(GRACE)
        clerk.instance.set_fields(ADA, username=7)
        async with _provider(clerk) as provider:
            listed = await provider.page(created_from=0, offset=0, limit=10)

    by_id = {user.id: user for user in listed}
    assert isinstance(by_id[ADA], Unreadable)
    assert "username" in by_id[ADA].reason
    assert isinstance(by_id[GRACE], Snapshot)


@pytest.mark.parametrize("kind", ["reset", "truncated", "malformed", "html"])
async def test_an_action_whose_answer_is_lost_is_asked_again_and_done_once(kind):
    with running_stand_in() as clerk:
        clerk.instance.create(ADA)
        clerk.fails(kind, carried_out=True, times=1, method="POST", path=f"/v1/users/{ADA}/ban")
        async with _provider(clerk) as provider:
            try:
                answered = await provider.set_banned(ADA, banned=True)
            except ClerkUnavailableError:
                assert kind in ("malformed", "html")  # there was an answer, only of no use
                answered = await provider.get(ADA)

        assert answered.profile.banned


async def test_a_deletion_whose_answer_was_lost_is_no_unknown_user():
    with running_stand_in() as clerk:
        clerk.instance.create(ADA)
        clerk.fails("reset", keep=0, carried_out=True, times=1, method="DELETE")
        async with _provider(clerk) as provider:
            deletion = await provider.delete(ADA)

        assert deletion.id == ADA
        assert clerk.instance.count() == 0


async def test_a_429_storm_is_waited_out_and_a_long_one_told_with_its_length():
    with running_stand_in() as clerk:
        clerk.instance.create(ADA)
        clerk.fails("status", status=429, retry_after_s=1, times=2)
        async with _provider(clerk) as provider:
            assert (await provider.set_banned(ADA, banned=True)).profile.banned
            clerk.fails("status", status=429, retry_after_s=120)
            with pytest.raises(ClerkLimitedError) as limited:
                await provider.set_banned(ADA, banned=False)

        assert limited.value.retry_after_s in range(115, 121)
        assert clerk.instance.get(ADA)["banned"] is True


@pytest.mark.parametrize(("status", "code"), [(402, "payment_required"), (403, "feature_not_enabled"), (422, "form_x")])
async def test_an_action_that_clerk_refuses_is_told_with_clerks_own_code_and_not_asked_again(status, code):
    with running_stand_in() as clerk:
        clerk.instance.create(ADA)
        clerk.fails("status", status=status, code=code, method="POST")
        async with _provider(clerk) as provider:
            with pytest.raises(ClerkRefusedError) as refused:
                await provider.set_locked(ADA, locked=True)

        assert (refused.value.status, refused.value.codes) == (status, (code,))
        assert len([asked for asked in clerk.requests if asked.method == "POST"]) == 1


async def test_a_wrong_key_is_named_also_by_an_action():
    with running_stand_in() as clerk:
        clerk.instance.create(ADA)
        provider = ClerkIdentities(BackendApi("sk_test_wrong", clerk.url), BACKGROUND, now_ms=lambda: 0)

        with pytest.raises(ClerkUnavailableError, match="check CLERK_SECRET_KEY"):
            await provider.set_banned(ADA, banned=True)
        await provider.aclose()


async def test_no_more_requests_are_under_way_than_allowed(monkeypatch):
    monkeypatch.setattr(backend_api, "AT_ONCE", 3)
    with running_stand_in() as clerk:
        most = 0
        under_way = 0

        async def watched(question: Any) -> Any:
            nonlocal most, under_way
            under_way += 1
            most = max(most, under_way)
            try:
                return await question
            finally:
                under_way -= 1

        api = BackendApi(clerk.secret_key, clerk.url)
        answers = await asyncio.gather(
            *(api.ask(lambda sdk: watched(sdk.users.get_async(user_id="user_x")), BACKGROUND) for _ in range(12))
        )
        await api.aclose()

    assert {answer.status for answer in answers} == {404}
    assert most == 3
