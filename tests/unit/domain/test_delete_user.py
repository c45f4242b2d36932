from domain.decision import Outcome
from domain.delete_user import delete_user
from domain.events import UserDeleted
from domain.sync_user import sync_user
from domain.user import Tombstone
from support.users import USER, deletion, snapshot


def test_a_deletion_leaves_a_tombstone_with_the_next_version():
    known = sync_user(None, snapshot()).user

    decision = delete_user(known, deletion(at=5000))

    tombstone = Tombstone(id=USER, version=2, deleted_at=5000)
    assert decision.outcome == Outcome.DELETED
    assert decision.user == tombstone
    assert decision.events == (UserDeleted(tombstone),)


def test_a_user_never_seen_can_be_deleted():
    decision = delete_user(None, deletion())

    assert decision.outcome == Outcome.DELETED
    assert decision.user == Tombstone(id=USER, version=1, deleted_at=9000)


def test_a_deletion_older_than_the_last_snapshot_still_wins():
    known = sync_user(None, snapshot(at=9999)).user

    decision = delete_user(known, deletion(at=1))

    assert decision.outcome == Outcome.DELETED


def test_a_second_deletion_changes_nothing():
    tombstone = delete_user(None, deletion()).user

    decision = delete_user(tombstone, deletion())

    assert decision.outcome == Outcome.UNCHANGED
    assert decision.user is tombstone
    assert decision.events == ()
