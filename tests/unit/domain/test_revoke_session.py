"""The end of a session: the first news counts, whatever follows and in whichever order it comes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.decision import Outcome
from domain.events import SessionRevoked, occurred_at
from domain.revoke_session import revoke_session
from domain.session import SESSION_ID, InvalidSessionIdError, RevokedSession, SessionId, parse_session_id
from domain.user import UserId

USER = UserId("user_ada")
news = st.builds(
    lambda name, at: RevokedSession(id=SessionId(f"sess_{name}"), user_id=USER, revoked_at=at),
    st.sampled_from("abc"),
    st.integers(0, 5),
)


@given(st.lists(news, max_size=12), st.randoms())
def test_any_order_and_repetition_of_ends_revokes_the_same_sessions_with_one_event_each(ends, chance):
    def told(order: list[RevokedSession]) -> tuple[dict[str, RevokedSession], list[SessionRevoked]]:
        known: dict[str, RevokedSession] = {}
        events: list[SessionRevoked] = []
        for end in order:
            decision = revoke_session(known.get(end.id), end)
            assert (decision.outcome is Outcome.REVOKED) == (end.id not in known)
            known[end.id] = decision.session
            events += decision.events
        return known, events

    shuffled = [*ends, *ends]
    chance.shuffle(shuffled)
    known, events = told(ends)
    other, others = told(shuffled)

    assert known.keys() == other.keys() == {end.id for end in ends}
    assert [event.session for event in events] == list(known.values())
    assert [event.session for event in others] == list(other.values())


@given(news, news)
def test_what_is_known_of_a_revoked_session_never_changes(first, again):
    decision = revoke_session(first, again)

    assert decision.session is first
    assert (decision.outcome, decision.events) == (Outcome.UNCHANGED, ())


@given(news)
def test_the_event_happened_when_the_session_ended(end):
    (event,) = revoke_session(None, end).events

    assert (event.session, occurred_at(event)) == (end, end.revoked_at)


@given(st.text(max_size=300) | st.from_regex(SESSION_ID, fullmatch=True))
def test_a_session_id_is_up_to_255_visible_ascii_characters(text):
    fits = 0 < len(text) <= 255 and all("!" <= character <= "~" for character in text)

    if fits:
        assert parse_session_id(text) == text
    else:
        with pytest.raises(InvalidSessionIdError):
            parse_session_id(text)


@pytest.mark.parametrize("other", [None, 7, b"sess_1", ["sess_1"]])
def test_what_is_no_text_is_no_session_id(other):
    with pytest.raises(InvalidSessionIdError, match=r"\Anot a Clerk session id \(1 to 255 .*\)\Z"):
        parse_session_id(other)
