"""Which users are published again after versions went back, and who is deleted."""

from functools import partial

import pytest

from adapters.kafka.cloudevents import encode
from application.errors import ClerkUnavailableError, SafetyStopError, UnstorableError
from application.failure import Cause
from application.reconcile.overtake import OvertakeSeen
from application.reconcile.ports import Seen
from application.users.representation import profile_document
from domain.delete_user import delete_user
from domain.sync_user import sync_user
from domain.user import Tombstone, UserId
from support.memory import MemoryDirectory, MemoryIdentities, MemoryUsers
from support.users import deletion, snapshot

A, B = UserId("user_a"), UserId("user_b")


@pytest.fixture
def repair():
    users, clerk = MemoryUsers(encode), MemoryIdentities()
    seen: dict[UserId, Seen] = {}

    async def read_seen(since_ms):
        return seen

    overtaking = OvertakeSeen(
        read_seen=read_seen,
        directory=MemoryDirectory(users),
        identities=clerk,
        users=users,
        now_ms=lambda: 5,
    )

    async def run(*, dry_run=False, done=None):
        done = [] if done is None else done
        async for user_id in overtaking(0, dry_run=dry_run):
            done.append(user_id)  # also those before a failure
        return done

    run.users, run.clerk, run.seen = users, clerk, seen
    return run


async def held(repair, user_id, *snapshots):
    for each in snapshots:
        await repair.users.change(user_id, partial(sync_user, snapshot=each))
    repair.clerk.users[user_id] = snapshots[-1]
    return repair.users.rows[user_id]


async def test_a_user_whose_row_is_what_consumers_have_is_left_alone(repair):
    user = await held(repair, A, snapshot(A))
    repair.seen[A] = Seen(1, profile_document(user))

    assert await repair() == []


async def test_a_field_that_only_the_publishing_release_or_only_this_one_has_makes_no_difference(repair):
    user = await held(repair, A, snapshot(A))
    published = {**profile_document(user), "of_a_newer_release": True}
    del published["locked"]
    repair.seen[A] = Seen(1, published)

    assert await repair() == []


async def test_a_deletion_and_a_profile_of_one_version_differ_whatever_fields_they_share(repair):
    await repair.users.change(A, partial(delete_user, deletion=deletion(A)))
    repair.seen[A] = Seen(1, {"id": A, "version": 1, "first_name": "Lost"})

    assert await repair() == [A]


async def test_a_user_whose_next_event_waits_is_left_alone(repair):
    await held(repair, A, snapshot(A), snapshot(A, at=2000, first_name="Grace"))
    repair.seen[A] = Seen(1, {"anything": "older"})

    assert await repair() == []


@pytest.mark.parametrize("version", [1, 4])
async def test_a_lost_version_and_one_with_other_content_are_overtaken(repair, version):
    await held(repair, A, snapshot(A))
    repair.seen[A] = Seen(version, {"id": A, "version": version, "first_name": "Lost"})

    assert await repair(dry_run=True) == [A]
    assert repair.users.rows[A].version == 1
    assert await repair() == [A]
    assert repair.users.rows[A].version == version + 1
    assert repair.users.outbox[-1].version == version + 1


async def test_a_lost_row_comes_back_from_clerk_above_what_was_seen(repair):
    repair.clerk.users[A] = snapshot(A)
    repair.seen[A] = Seen(3, {})

    assert await repair() == [A]
    assert repair.users.rows[A].version == 4
    assert repair.users.rows[A].profile == snapshot(A).profile


async def test_a_user_of_whom_only_the_topic_knows_is_published_as_deleted(repair):
    await held(repair, B, snapshot(B))
    repair.seen[A] = Seen(3, {})

    assert await repair() == [A]
    assert repair.users.rows[A] == Tombstone(id=A, version=4, deleted_at=5)


async def test_nobody_is_deleted_when_clerk_knows_none_of_our_users(repair):
    await held(repair, B, snapshot(B))
    repair.clerk.users.clear()
    repair.seen[A] = Seen(3, {})

    with pytest.raises(SafetyStopError):
        await repair()
    assert A not in repair.users.rows


async def test_a_user_whom_clerk_has_no_more_is_left_to_reconcile_and_a_tombstone_stays_one(repair):
    await held(repair, A, snapshot(A))
    del repair.clerk.users[A]
    await repair.users.change(B, partial(delete_user, deletion=deletion(B)))
    repair.clerk.users[B] = snapshot(B)
    repair.seen.update({A: Seen(2, {}), B: Seen(6, {})})

    assert await repair() == [A, B]
    assert repair.users.rows[A].version == 3
    assert repair.users.rows[B].version == 7
    assert isinstance(repair.users.rows[B], Tombstone)


@pytest.mark.parametrize("late_webhooks", range(3))
async def test_a_deletion_that_was_lost_is_published_again_and_not_the_profile_that_came_back(repair, late_webhooks):
    await held(repair, A, *(snapshot(A, at=at, first_name=f"{at}") for at in range(1, 2 + late_webhooks)))
    await held(repair, B, snapshot(B))
    del repair.clerk.users[A]
    repair.seen[A] = Seen(2, {"id": A, "version": 2, "deleted_at": "2026-11-23T10:00:00.000Z"})

    assert await repair() == [A]
    assert repair.users.rows[A] == Tombstone(id=A, version=max(3, late_webhooks + 2), deleted_at=5)


async def test_a_lost_deletion_is_not_repeated_when_clerk_knows_none_of_our_users(repair):
    await held(repair, A, snapshot(A))
    repair.clerk.users.clear()
    repair.seen[A] = Seen(2, {"id": A, "version": 2, "deleted_at": "2026-11-23T10:00:00.000Z"})

    with pytest.raises(SafetyStopError):
        await repair()
    assert repair.users.rows[A].version == 1


@pytest.mark.parametrize("of_clerk", [True, False])
async def test_a_user_who_cannot_be_read_or_stored_is_named_when_the_others_are_published(
    repair, of_clerk, monkeypatch
):
    for user_id in (A, B):
        await held(repair, user_id, snapshot(user_id))
        repair.seen[user_id] = Seen(4, {})
    failure = ClerkUnavailableError("user: data.emails", Cause.BAD_ANSWER) if of_clerk else UnstorableError("no")
    method = (MemoryIdentities, "get") if of_clerk else (MemoryUsers, "change")
    fail_for(A, failure, *method, monkeypatch)
    done: list[UserId] = []

    with pytest.raises(UnstorableError) as raised:
        await repair(done=done)

    assert str(raised.value) == f"user_a: {failure}"
    assert done == [B]
    assert repair.users.rows[B].version == 5


async def test_when_clerk_does_not_answer_at_all_nobody_else_is_tried(repair, monkeypatch):
    for user_id in (A, B):
        await held(repair, user_id, snapshot(user_id))
        repair.seen[user_id] = Seen(4, {})
    for question in ("get", "count"):
        fail_for(A, ClerkUnavailableError("it answered 500"), MemoryIdentities, question, monkeypatch)

    with pytest.raises(ClerkUnavailableError):
        await repair()
    assert repair.users.rows[B].version == 1


def fail_for(user_id, failure, kind, method, monkeypatch):
    """Let this method fail when it is called about this user, or without one."""
    ask = getattr(kind, method)

    async def asked(self, *whom):
        if whom[:1] in ((), (user_id,)):
            raise failure
        return await ask(self, *whom)

    monkeypatch.setattr(kind, method, asked)
