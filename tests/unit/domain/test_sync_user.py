from attrs import evolve

from domain.decision import Outcome
from domain.delete_user import delete_user
from domain.events import UserCreated, UserUpdated
from domain.sync_user import sync_user
from support.memory import living
from support.users import USER, deletion, snapshot


def test_the_first_snapshot_creates_the_user_at_version_1():
    decision = sync_user(None, snapshot(at=1000))

    user = living(decision.user)
    assert decision.outcome == Outcome.CREATED
    assert (user.id, user.version, user.updated_at) == (USER, 1, 1000)
    assert user.source == snapshot(at=1000).source
    assert decision.events == (UserCreated(user),)


def test_a_newer_snapshot_with_other_content_makes_the_next_version_and_names_what_changed():
    known = sync_user(None, snapshot(at=1000)).user

    decision = sync_user(known, snapshot(at=2000, first_name="Grace", banned=True))

    news = snapshot(at=2000, first_name="Grace", banned=True)
    user = living(decision.user)
    assert decision.outcome == Outcome.UPDATED
    assert (user.version, user.updated_at) == (2, 2000)
    assert (user.profile, user.source) == (news.profile, news.source)
    assert decision.events == (UserUpdated(user, ("first_name", "banned")),)


def test_an_older_snapshot_is_stale_and_changes_nothing():
    known = sync_user(None, snapshot(at=2000)).user

    decision = sync_user(known, snapshot(at=1000, first_name="Grace"))

    assert decision.outcome == Outcome.STALE
    assert decision.user is known
    assert decision.events == ()


def test_the_same_snapshot_again_changes_nothing():
    known = sync_user(None, snapshot(at=1000)).user

    decision = sync_user(known, snapshot(at=1000))

    assert decision.outcome == Outcome.UNCHANGED
    assert decision.user is known


def test_a_newer_snapshot_of_the_same_content_moves_only_the_place_in_time():
    known = living(sync_user(None, snapshot(at=1000)).user)

    decision = sync_user(known, snapshot(at=2000))

    news = snapshot(at=2000)
    assert decision.outcome == Outcome.UNCHANGED
    assert decision.user == evolve(known, source=news.source)
    assert living(decision.user).updated_at == 1000
    assert decision.events == ()


def test_two_snapshots_of_one_millisecond_are_told_apart_by_the_time_of_the_event():
    known = sync_user(None, snapshot(at=1000, timestamp=1020)).user

    earlier = sync_user(known, snapshot(at=1000, timestamp=1019, first_name="Grace"))
    later = sync_user(known, snapshot(at=1000, timestamp=1021, first_name="Grace"))

    assert (earlier.outcome, later.outcome) == (Outcome.STALE, Outcome.UPDATED)


def test_two_snapshots_of_one_moment_have_one_winner_whichever_comes_first():
    one, other = snapshot(at=1000, first_name="Ada"), snapshot(at=1000, first_name="Grace")

    ends = [sync_user(sync_user(None, first).user, second).user for first, second in ((one, other), (other, one))]

    assert living(ends[0]).profile == living(ends[1]).profile


def test_true_and_1_and_1_point_0_in_metadata_are_three_contents():
    known = sync_user(None, snapshot(at=1000, public_metadata={"n": 1})).user

    outcomes = [sync_user(known, snapshot(at=2000, public_metadata={"n": n})) for n in (True, 1.0, 1)]

    assert [decision.outcome for decision in outcomes] == [Outcome.UPDATED, Outcome.UPDATED, Outcome.UNCHANGED]
    assert outcomes[0].events == (UserUpdated(living(outcomes[0].user), ("public_metadata",)),)


def test_news_about_a_deleted_user_is_stale_however_new():
    tombstone = delete_user(None, deletion()).user

    decision = sync_user(tombstone, snapshot(at=10**12))

    assert decision.outcome == Outcome.STALE
    assert decision.user is tombstone
