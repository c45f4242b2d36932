"""What is known of sessions and users after any events, in any order, and for how long."""

import json
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anomalyze_auth import Reason
from anomalyze_auth._revoked import Revoked
from anomalyze_auth.events import UnknownEvent, UnusableEvent, decode
from anomalyze_auth.sessions import SessionRevoked, decode_session
from sdktest.messages import changed, deleted, revoked

SESSIONS = [f"sess_{number}" for number in range(4)]
USERS = [f"user_{number}" for number in range(3)]


def session(session_id: str = "sess_1") -> SessionRevoked:
    event = decode_session(*revoked(session_id))
    assert isinstance(event, SessionRevoked)
    return event


def knowing(*events, keep: float = 300.0, most: int = 1_000_000, now: float = 0.0) -> Revoked:
    known = Revoked(keep=keep, most=most)
    for event in events:
        known.apply(event, now)
    return known


def test_nothing_is_known_against_anybody_at_first():
    assert knowing().verdict("sess_1", "user_1") is None


def test_a_revoked_session_is_refused_and_another_of_the_same_user_is_not():
    known = knowing(session("sess_1"))

    assert known.verdict("sess_1", "user_1") is Reason.SESSION_REVOKED
    assert known.verdict("sess_2", "user_1") is None


@pytest.mark.parametrize(
    ("events", "verdict"),
    [
        ([changed(2)], None),
        ([changed(2, banned=True)], Reason.USER_BANNED),
        ([changed(2, banned=True), changed(3, banned=True)], Reason.USER_BANNED),
        ([changed(2, banned=True), changed(3)], None),
        ([changed(3), changed(2, banned=True)], None),
        ([changed(3, banned=True), changed(2)], Reason.USER_BANNED),
        ([deleted(4), changed(3), changed(2, banned=True)], Reason.USER_DELETED),
        ([changed(3, banned=True), deleted(4)], Reason.USER_DELETED),
    ],
)
def test_of_a_user_the_highest_version_counts_whatever_came_last(events, verdict):
    assert knowing(*(decode(*event) for event in events)).verdict("sess_9", "user_1") is verdict


def test_a_later_version_of_an_event_changes_nothing():
    assert knowing(UnknownEvent(event_id="1", type="anomalyze.session.revoked.v2")).sessions == 0


@st.composite
def happenings(draw) -> list[SessionRevoked | object]:
    """What happens to a few sessions and users, each user's versions in order, and deletion last."""
    events: list[object] = [session(each) for each in SESSIONS if draw(st.booleans())]
    for user_id in USERS:
        states = draw(st.lists(st.booleans(), max_size=4))
        events += [decode(*changed(n, user_id, banned=banned)) for n, banned in enumerate(states, 1)]
        if draw(st.booleans()):
            events.append(decode(*deleted(len(states) + 1, user_id)))
    return events


@given(happenings(), st.data())
def test_any_order_and_repetition_of_the_same_events_gives_the_same_answers(events, data):
    once = knowing(*events)
    again = data.draw(
        st.permutations([*events, *data.draw(st.lists(st.sampled_from(events)) if events else st.just([]))])
    )
    shuffled = knowing(*again)

    for session_id in SESSIONS:
        for user_id in USERS:
            assert shuffled.verdict(session_id, user_id) == once.verdict(session_id, user_id)


MOMENTS = st.lists(
    st.tuples(st.floats(0, 30), st.sampled_from(SESSIONS), st.sampled_from(USERS), st.booleans()), max_size=40
)


@given(MOMENTS)
def test_who_was_refused_stays_refused_for_as_long_as_is_kept_and_everything_is_forgotten_in_the_end(moments):
    known = Revoked(keep=60, most=1000)
    now, revoked_at, newest = 0.0, dict[str, float](), dict[str, tuple[float, bool]]()
    versions = dict.fromkeys(USERS, 0)
    for pause, session_id, user_id, banned in moments:
        now += pause
        known.forget(now)
        for each, since in revoked_at.items():
            if now < since + 60:
                assert known.verdict(each, "user_x") is Reason.SESSION_REVOKED
        for each, (since, was_banned) in newest.items():
            if now < since + 60:
                assert known.verdict("sess_x", each) is (Reason.USER_BANNED if was_banned else None)
        if known.verdict(session_id, "user_x") is None:  # the first time counts: a session cannot come back
            revoked_at[session_id] = now
        known.apply(session(session_id), now)
        versions[user_id] += 1
        known.apply(decode(*changed(versions[user_id], user_id, banned=banned)), now)
        newest[user_id] = now, banned
    for _ in range(3):  # a user who changed is kept for up to one more round
        now += 62
        known.forget(now)

    assert (known.sessions, known.users, len(known._arrivals)) == (0, 0, 0)


@given(st.lists(st.integers(0, 40), max_size=120))
def test_no_more_than_the_most_is_ever_held_and_what_did_not_fit_is_told(numbers):
    known = Revoked(keep=60, most=10)
    seen: set[int] = set()
    for number in numbers:
        known.apply(session(f"sess_{number}") if number % 2 else decode(*changed(1, f"user_{number}")), 0.0)
        seen.add(number)

        assert known.sessions + known.users == min(len(seen), 10)
        assert (known.overflow_until > 0) == (len(seen) > 10)


def test_what_did_not_fit_can_be_named_by_no_token_when_the_overflow_is_over():
    known = knowing(*(session(f"sess_{number}") for number in range(5)), most=3, keep=60, now=100.0)

    assert (known.sessions, known.dropped, known.overflow_until) == (3, 2, 160.0)
    known.forget(162.0)
    known.apply(session("sess_7"), 162.0)
    assert known.verdict("sess_7", "user_1") is Reason.SESSION_REVOKED
    assert known.dropped == 2


def test_a_user_who_is_known_changes_also_when_nothing_more_fits():
    known = knowing(decode(*changed(1)), session(), most=2)

    known.apply(decode(*changed(2, banned=True)), 1.0)

    assert known.verdict("sess_x", "user_1") is Reason.USER_BANNED
    assert known.dropped == 0


def test_a_flood_of_revocations_and_of_changes_costs_no_more_memory_than_what_is_held():
    """A two-hundredth of a flood of 1,000 revocations and 1,000 changes a second, for four times as long as is kept."""
    keep, rate = 330, 5

    def flooded(seconds: range) -> None:
        for second in seconds:
            for number in range(rate):
                known.apply(session(f"sess_{second:010}{number:012}ABCDE"), float(second))
                known.apply(decode(*changed(second + 1, f"user_{second:010}{number:012}ABCDE")), float(second))
                known.apply(decode(*changed(second + 1, f"user_{number}")), float(second))
            known.forget(float(second))

    tracemalloc.start()
    try:
        known = Revoked(keep=keep, most=1_000_000)
        flooded(range(keep + 2))
        full, _ = tracemalloc.get_traced_memory()
        held = known.sessions, known.users
        flooded(range(keep + 2, 4 * keep))
        later, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert rate * keep <= known.sessions <= held[0] <= rate * (keep + 2)
    assert rate * (keep + 1) <= known.users <= held[1] <= rate * (keep + 3)
    assert later < 1.5 * full  # a hash table that grew once more
    assert full / sum(held) < 500


def test_a_session_event_is_read():
    event = session("sess_7")

    assert (event.session_id, event.user_id) == ("sess_7", "user_1")
    assert event.revoked_at is not None


def test_a_session_event_with_more_in_it_is_read():
    attributes, _ = revoked()

    event = decode_session(attributes, b'{"session": {"id": "sess_2", "why": "x"}, "more": 1}')

    assert isinstance(event, SessionRevoked)
    assert (event.session_id, event.user_id) == ("sess_2", None)


def test_a_later_version_of_a_session_event_is_unknown_and_no_error():
    event = decode_session(*revoked(ce_type="anomalyze.session.revoked.v2"))

    assert event == UnknownEvent(event_id="6f1c2c1e-0000-4000-8000-000000000001", type="anomalyze.session.revoked.v2")


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"null",
        b"\xff",
        b"[" * 100_000,
        b'{"session": null}',
        b'{"session": {"id": 7}}',
        b'{"session": {"id": ""}}',
        b'{"session": {"id": "sess_1", "revoked_at": "soon"}}',
        json.dumps({"session": {"id": "s" * 256}}).encode(),
    ],
)
def test_what_is_no_session_event_is_unusable_and_the_error_says_nothing_of_its_values(value):
    with pytest.raises(UnusableEvent) as caught:
        decode_session(revoked()[0], value)

    assert "sess_1" not in str(caught.value)
    assert "soon" not in str(caught.value)


@given(st.dictionaries(st.text(), st.none() | st.text() | st.binary()), st.none() | st.binary())
def test_whatever_a_record_holds_nothing_but_an_unusable_event_is_raised(headers, value):
    for attributes in (headers, {**revoked()[0], **headers}):
        try:
            decode_session(attributes, value)
        except UnusableEvent:
            continue
