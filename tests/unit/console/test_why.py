"""What the console says of each answer, from the webhooks and the row alone."""

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from sdktest.rows import each_row

from devkit.console.records import Records
from devkit.console.why import OUTCOMES, outcome_of, time_of, why
from devkit.fake_clerk.deliveries import DROPPED
from domain.decision import Outcome
from domain.snapshot import Snapshot
from domain.source_version import SourceVersion
from domain.sync_user import sync_user
from domain.user import User
from unit.console.conftest import T1, T2, attempt, deletion, event, session, user


def test_every_outcome_of_the_service_can_be_filtered():
    assert {outcome.value for outcome in Outcome} < set(OUTCOMES)


def test_a_stale_update_names_both_times(records, reason):
    records.add_attempt(attempt(at=T2, answer="updated"))
    records.add_attempt(attempt(at=T1, answer="stale"))

    assert reason() == "10:00:01.200 is older than 10:00:02.100, which the row held"


def test_times_of_another_day_than_the_delivery_have_their_date(records, reason):
    day_ms = 24 * 60 * 60 * 1000
    records.add_attempt(attempt(at=T1, answer="updated"))
    records.add_attempt(attempt(at=T2 - day_ms, at_ms=T2, answer="stale"))
    assert reason() == "2026-11-28 10:00:02.100 is older than 10:00:01.200, which the row held"
    records.add_attempt(attempt(at=T1, at_ms=T1 + day_ms, answer="unchanged"))
    assert reason() == "The same state again: 2026-11-29 10:00:01.200 was applied before"


def test_what_the_row_holds_is_read_where_no_answer_told_it(records, reason):
    records.add_attempt(attempt(at=T1, answer="stale"))
    assert reason() == "Older than the row"
    source = SourceVersion(T2, T2, b"")
    snapshot = records.deliveries[1].news
    row = User(id="user_ada", version=2, profile=snapshot.profile, updated_at=T2, source=source)
    records.add_row("user_ada", row, [])

    assert reason() == "10:00:01.200 is older than 10:00:02.100, which the row held"


def test_news_of_a_deleted_user_say_when_it_was_deleted(records, reason):
    records.add_attempt(attempt("user.deleted", deletion(), at=T2, answer="deleted"))
    records.add_attempt(attempt(at=T1, answer="stale"))

    assert reason() == "The user was deleted at 10:00:02.100: nothing brings a deleted user back"


def test_two_changes_of_one_millisecond_are_told_apart_by_the_event_and_then_by_the_content(records, reason):
    records.add_attempt(attempt(at=T1, timestamp=T2))
    records.add_attempt(attempt(at=T1, timestamp=T1, answer="stale"))
    assert reason() == ("Both changed at 10:00:01.200, and the event of 10:00:01.200 is older than 10:00:02.100")
    records.add_attempt(attempt(data=user(first_name="Other"), timestamp=T2, answer="stale"))
    assert reason() == "Both are of 10:00:01.200: the digest of the content decides which one stays"


def test_the_same_delivery_again_and_a_sign_in_are_unchanged_for_different_reasons(records, reason):
    first = attempt(at=T1, answer="created")
    records.add_attempt(first)
    records.add_attempt(attempt(at=T1, answer="unchanged"))
    assert reason() == "The same state again: 10:00:01.200 was applied before"
    records.add_attempt(attempt(at=T2, answer="unchanged"))
    assert reason() == "Newer than the row, but no stored field differs"
    records.add_attempt(attempt(at=T2, answer="unchanged"))
    assert reason() == "The same state again: 10:00:02.100 was applied before"


def test_an_applied_update_names_the_fields_and_the_version_as_soon_as_its_event_is_known(records, reason):
    sent = attempt(answer="updated")
    records.add_attempt(sent)
    assert reason() == "Newer than the row, and different from it"
    waiting = event(3, trace_id=sent.trace_id, changed=["first_name", "banned"], state="waiting")
    records.add_row("user_ada", None, [waiting])

    assert reason() == "first_name, banned changed: version 3"


@each_row(
    ("sent", "text"),
    [
        (attempt("user.deleted", deletion(), answer="deleted"), "Every personal field is erased; a tombstone stays"),
        (attempt("session.ended", session(), answer="revoked"), "Tokens of this session are refused from now on"),
        (attempt("session.ended", session(), answer="unchanged"), "This session was revoked already"),
        (attempt("session.created", session(), answer="ignored"), "session.created changes no stored field"),
        (attempt(outcome=DROPPED, number=0), "Lost in transit: the service never received it"),
        (attempt(outcome="ConnectError", retry_in_s=5.0), "No answer: ConnectError. Sent again in 5 s"),
        (attempt(outcome="ConnectError", number=8), "No answer: ConnectError. Given up"),
        (attempt(outcome=503, answer="Busy.", retry_in_s=300.0), "503 Service Unavailable: Busy. Sent again in 300 s"),
        (attempt(outcome=422, answer="data.id: Expected `str`"), "422 Unprocessable"),
        (attempt(outcome=400, answer="No.", forged=True), "400 Bad Request: No. Signed with another secret"),
        (attempt(outcome=404, answer=None), "404 Not Found"),
        (attempt(outcome=200, answer="hello"), "Not our service"),
    ],
)
def test_whatever_else_is_answered_has_a_reason(sent, text):
    told = outcome_of(sent)
    records = Records()
    records.add_attempt(sent)

    assert told.outcome in OUTCOMES
    assert why(sent, records.deliveries[1].news, told, None, changed=None, version=None).startswith(text)


@pytest.mark.parametrize("answer", [b"", b"[", b"[]", b"null", b'{"outcome": 3}', b'{"detail": []}', b"\xff"])
@pytest.mark.parametrize("status", [200, 204, 301, 400, 599, 999])
def test_an_answer_that_is_not_our_services_has_one_too(answer, status):
    told = outcome_of(attempt(outcome=status, answer=answer))

    assert told.outcome in OUTCOMES


@given(times=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.sampled_from("ABC")), min_size=2, max_size=8))
def test_a_stale_reason_is_true_whatever_came_before(times):
    """The domain decides, the console explains: what it says is older is older."""
    records, known = Records(), None
    for at, timestamp, name in times:
        sent = attempt(data=user(at=T1 + at, first_name=name), timestamp=T1 + timestamp)
        snapshot = read(sent)
        decision = sync_user(known, snapshot)
        told = evolve(sent, answer=f'{{"outcome":"{decision.outcome}"}}'.encode())
        records.add_attempt(told)
        delivery = records.deliveries[max(records.deliveries)]
        text = why(told, delivery.news, delivery.result, delivery.current, changed=None, version=None)
        if decision.outcome is Outcome.STALE:
            assert known.source > snapshot.source
            assert delivery.current == known.source
            if snapshot.source.updated_at < known.source.updated_at:
                late, held = (time_of(one.source.updated_at, told.at_ms) for one in (snapshot, known))
                assert text == f"{late} is older than {held}, which the row held"
            else:
                assert text.startswith("Both")
        if decision.outcome is Outcome.UNCHANGED:
            assert text.startswith("The same state" if known.source == snapshot.source else "Newer")
        known = decision.user


def read(sent) -> Snapshot:
    records = Records()
    records.add_attempt(sent)
    news = records.deliveries[1].news
    assert isinstance(news, Snapshot)
    return news
