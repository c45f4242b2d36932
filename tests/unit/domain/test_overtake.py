"""A version that went back is repaired by one that no consumer drops."""

from functools import partial

from hypothesis import given
from hypothesis import strategies as st

from domain.decision import Outcome
from domain.delete_user import delete_user
from domain.events import UserDeleted, UserUpdated
from domain.overtake import overtake
from domain.sync_user import sync_user
from domain.user import Tombstone
from support.users import deletion, snapshot, snapshots

NEWS = st.one_of(
    snapshots.map(lambda snapshot: partial(sync_user, snapshot=snapshot)),
    st.just(partial(delete_user, deletion=deletion())),
)


@given(st.lists(NEWS, max_size=4), NEWS, st.integers(1, 6))
def test_whatever_is_held_is_published_once_above_what_was_seen_and_with_the_news_applied(before, news, published):
    known = None
    for each in before:
        known = each(known).user
    decided = news(known).user

    decision = overtake(known, news, published)

    [event] = decision.events
    assert event.user == decision.user
    assert decision.user.version > max(published, known.version if known else 0)
    assert type(decision.user) is type(decided)
    if not isinstance(decided, Tombstone):
        assert (decision.user.profile, decision.user.source) == (decided.profile, decided.source)


def test_no_version_is_left_out_behind_the_last_one_that_was_seen():
    known = sync_user(None, snapshot()).user
    unchanged = partial(sync_user, snapshot=snapshot())
    gone = delete_user(known, deletion()).user

    assert overtake(known, unchanged, 7).events == (UserUpdated(overtake(known, unchanged, 7).user, ()),)
    assert overtake(known, unchanged, 7).user.version == 8
    assert overtake(gone, unchanged, 7).user == Tombstone(id=gone.id, version=8, deleted_at=gone.deleted_at)
    assert isinstance(overtake(gone, unchanged, 7).events[0], UserDeleted)


def test_the_outcome_names_what_is_published():
    known = sync_user(None, snapshot()).user
    unchanged = partial(sync_user, snapshot=snapshot())

    assert overtake(known, unchanged, 7).outcome is Outcome.UPDATED
    assert overtake(delete_user(known, deletion()).user, unchanged, 7).outcome is Outcome.DELETED
