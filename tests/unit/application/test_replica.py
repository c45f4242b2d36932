"""Whatever a replica has, nobody is answered older than they have seen, and no replica's verdict outlives the bound."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import pytest
from attrs import define, evolve, field
from hypothesis import given
from hypothesis import strategies as st

from adapters.kafka.cloudevents import encode
from application.errors import (
    SessionRevokedError,
    StoreUnavailableError,
    UserBannedError,
    UserDeletedError,
    UserUnknownError,
    VersionNotReachedError,
)
from application.users.get_current_user import GetCurrentUser
from application.users.get_user import GetUser
from application.users.list_users import ListUsers
from application.users.ports import SignedIn
from application.users.replica import MAX_BEHIND_S, ReplicaReads, WhyPrimary, why_primary
from domain.session import SessionId
from domain.sync_user import sync_user
from domain.user import Known, Tombstone, User, UserId
from support.memory import MemoryDirectory, MemoryUsers, living
from support.users import USER, profile, snapshot

SESSION = SessionId("sess_1")


async def _nobody(_user_id: UserId) -> User:
    raise UserUnknownError


nobody_at_clerk: Any = _nobody
"""`JustInTimeSync` at a Clerk without users."""

FRESH = living(sync_user(None, snapshot()).user)

versions = st.integers(0, 6)
"""0: there is no row."""
floors = st.integers(0, 8)
lags = st.one_of(st.none(), st.floats(-20, 20))


def known(version: int, *, banned: bool = False, deleted: bool = False) -> Known:
    if version == 0:
        return None
    if deleted:
        return Tombstone(id=USER, version=version, deleted_at=9000)
    return evolve(FRESH, version=version, profile=profile(banned=banned))


@define
class Copy:
    """A replica that has what the test says."""

    user: Known = None
    revoked: bool = False
    behind_s: float | None = 0.0
    fails: bool = False

    async def signed_in(self, _user_id: UserId, _session_id: SessionId | None) -> SignedIn:
        if self.fails:
            raise StoreUnavailableError
        return SignedIn(self.user, self.revoked, self.behind_s)

    async def get_many(self, user_ids: Collection[UserId]) -> tuple[Mapping[UserId, User | Tombstone], float | None]:
        if self.fails:
            raise StoreUnavailableError
        return ({self.user.id: self.user} if self.user and self.user.id in user_ids else {}), self.behind_s

    async def by_email(self, _email: str, *, limit: int) -> tuple[Sequence[User], float | None]:
        if self.fails:
            raise StoreUnavailableError
        return [self.user][:limit] if isinstance(self.user, User) else [], self.behind_s


@define
class Stage:
    primary: Known = None
    copy: Copy = field(factory=Copy)
    reasons: list[WhyPrimary | None] = field(factory=list)

    def users(self) -> MemoryUsers:
        return MemoryUsers(encode, rows={USER: self.primary} if self.primary else {})

    def reads(self) -> ReplicaReads:
        return ReplicaReads(self.copy, self.reasons.append)

    async def current(self, **floor: int) -> User:
        return await GetCurrentUser(self.users(), nobody_at_clerk, self.reads())(USER, SESSION, **floor)

    async def looked_up(self, **floor: int) -> User:
        return await GetUser(self.users(), nobody_at_clerk, self.reads())(USER, **floor)

    async def listed(self, **floor: int) -> Sequence[User]:
        found = await ListUsers(MemoryDirectory(self.users()), self.reads()).by_ids([USER], **floor)
        return found.users


@given(versions, st.booleans(), st.booleans(), lags, floors)
def test_what_a_replica_answers_is_recent_and_not_below_the_floor(version, banned, deleted, behind_s, floor):
    user = known(version, banned=banned, deleted=deleted)

    if why_primary(user, behind_s, floor) is None:
        assert behind_s is not None
        assert abs(behind_s) <= MAX_BEHIND_S
        assert isinstance(user, Tombstone) or (user and user.version >= floor and not banned)


@given(versions, versions, lags, floors, floors, st.booleans())
async def test_nobody_is_answered_older_than_they_have_seen(at_primary, at_replica, behind_s, floor, seen, fails):
    # The replica can be ahead of what this primary has, when a failover lost something.
    stage = Stage(known(at_primary), Copy(known(at_replica), behind_s=behind_s, fails=fails))

    for ask, given_floors in (
        (stage.current, {"min_version": floor, "seen_version": seen}),
        (stage.looked_up, {"min_version": floor}),
    ):
        try:
            user = await ask(**given_floors)
        except VersionNotReachedError:
            assert 0 < at_primary < floor
        except UserUnknownError:
            assert at_primary == 0
        else:
            assert user.version >= floor
            assert user.version >= min(max(given_floors.values()), at_primary)


@given(versions, versions, lags, floors, st.booleans())
async def test_a_list_answers_no_user_older_than_its_floor(at_primary, at_replica, behind_s, floor, fails):
    stage = Stage(known(at_primary), Copy(known(at_replica), behind_s=behind_s, fails=fails))

    try:
        users = await stage.listed(min_version=floor)
    except VersionNotReachedError:
        assert 0 < at_primary < floor
    else:
        assert all(user.version >= floor for user in users)
        assert users or at_primary == 0


@pytest.mark.parametrize(
    ("copy", "reason"),
    [
        (Copy(known(3)), None),
        (Copy(known(3, deleted=True)), None),
        (Copy(known(3), fails=True), WhyPrimary.UNAVAILABLE),
        (Copy(known(3), behind_s=MAX_BEHIND_S + 0.1), WhyPrimary.BEHIND),
        (Copy(known(3), behind_s=-MAX_BEHIND_S - 0.1), WhyPrimary.BEHIND),
        (Copy(known(3), behind_s=None), WhyPrimary.BEHIND),
        (Copy(None), WhyPrimary.ABSENT),
        (Copy(known(2)), WhyPrimary.BELOW_FLOOR),
        (Copy(known(3, banned=True)), WhyPrimary.BANNED),
    ],
)
async def test_it_is_counted_why_the_primary_is_asked(copy, reason):
    stage = Stage(known(3), copy)
    reads = stage.reads()

    await reads.get(USER, 3)
    await reads.get_many([USER], 3)

    assert stage.reasons == [reason, reason]


async def test_who_was_unbanned_is_let_in_though_the_replica_does_not_know_yet():
    assert (await Stage(known(4), Copy(known(3, banned=True))).current()).version == 4


async def test_who_is_banned_at_both_is_refused():
    with pytest.raises(UserBannedError):
        await Stage(known(4, banned=True), Copy(known(3, banned=True))).current()


async def test_who_was_deleted_is_refused_by_either():
    with pytest.raises(UserDeletedError):
        await Stage(known(4, deleted=True), Copy(None)).current()
    with pytest.raises(UserDeletedError):
        await Stage(None, Copy(known(4, deleted=True))).current()


async def test_a_deletion_is_told_whatever_the_floor_is():
    with pytest.raises(UserDeletedError):
        await Stage(known(4, deleted=True), Copy(known(4, deleted=True))).looked_up(min_version=9)


async def test_a_session_that_the_replica_knows_to_be_revoked_is_refused():
    with pytest.raises(SessionRevokedError):
        await Stage(known(3), Copy(known(3), revoked=True)).current()


async def test_an_email_that_the_replica_has_nobody_for_is_looked_up_at_the_primary():
    stage = Stage(known(3))
    find = ListUsers(MemoryDirectory(stage.users()), stage.reads()).by_email

    assert [user.id for user in (await find("ada@example.org")).users] == [USER]
    assert stage.reasons == [WhyPrimary.ABSENT]
