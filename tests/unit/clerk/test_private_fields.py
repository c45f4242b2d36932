"""From a payload to the row and the event: what is private comes out nowhere."""

from hypothesis import given
from hypothesis import strategies as st

from adapters.clerk.payloads import revoked_session_of, snapshot_of
from adapters.kafka.cloudevents import encode
from adapters.postgres.rows import row_from
from domain.revoke_session import revoke_session
from domain.sync_user import sync_user
from domain.user import Known
from support.clerk_payloads import encoded
from support.message_headers import headers
from support.private_payloads import CANARY, private_payloads
from support.users import USER


@given(st.lists(private_payloads(USER), min_size=1, max_size=6))
def test_no_private_field_is_ever_in_a_row_or_an_event(payloads):
    known: Known = None
    for payload in payloads:
        assert CANARY in encoded(payload).decode()
        decision = sync_user(known, snapshot_of(encoded(payload), timestamp=payload["updated_at"]))
        known = decision.user

        assert CANARY not in repr(row_from(known, revision=1))
        for message in map(encode, decision.events):
            assert CANARY not in message.payload.decode() + repr(headers(message))


@given(private_payloads(USER), st.lists(st.sampled_from(["latest_activity", "actor", "client_id", "tasks", "status"])))
def test_of_a_session_nothing_but_two_ids_and_a_time_is_ever_in_an_event(user, fields):
    session = {**{name: [CANARY] for name in fields}, "id": "sess_1", "user_id": USER, "user": user}
    body = encoded(session)
    assert CANARY in body.decode()

    (event,) = revoke_session(None, revoked_session_of(body, timestamp=0)).events
    message = encode(event)

    assert CANARY not in message.payload.decode() + repr(headers(message))
