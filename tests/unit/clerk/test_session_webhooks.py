"""Session webhooks: three names of one end, of which two ids and a time are read and nothing else."""

from typing import Any

import pytest

from adapters.clerk.webhooks import ClerkWebhooks
from application.errors import UnusableWebhookError
from application.users.signing_key import parse_signing_key
from devkit.fake_clerk.samples import sample_session, sample_user
from domain.session import RevokedSession
from support.clerk_payloads import SECRET, encoded, signed

NOW = 1_700_000_000_000
USER = "user_29wBMCtzATuFJut8jO2VNTVekS4"
OMIT = object()


def read(event: str, timestamp: Any = NOW, **changes: Any) -> Any:
    session = {**sample_session("sess_2abc", USER, now_ms=NOW), **changes}
    data = {name: value for name, value in session.items() if value is not OMIT}
    body = encoded({"type": event, "object": "event", "data": data, "timestamp": timestamp})
    return ClerkWebhooks([parse_signing_key(SECRET)]).read(signed(SECRET, body), body)


@pytest.mark.parametrize("event", ["session.ended", "session.removed", "session.revoked"])
def test_the_end_of_a_session_is_its_ids_and_the_time_of_the_event(event):
    assert read(event) == RevokedSession(id="sess_2abc", user_id=USER, revoked_at=NOW)


@pytest.mark.parametrize("event", ["session.created", "session.pending", "session.ended.v2", "session"])
def test_no_other_event_of_a_session_ends_it(event):
    assert read(event) is None


def test_neither_client_nor_address_nor_activity_nor_the_users_data_are_looked_at():
    activity = {"ip_address": 7, "city": ["no", "text"]}
    whole = sample_user(USER, now_ms=NOW, email_addresses="broken")

    found = read("session.ended", latest_activity=activity, client_id=None, user=whole, status="active", actor={"a": 1})

    assert found == RevokedSession(id="sess_2abc", user_id=USER, revoked_at=NOW)


@pytest.mark.parametrize(("timestamp", "at"), [(1_700_000_000, NOW), (NOW, NOW)])
def test_a_time_in_seconds_is_recognised(timestamp, at):
    assert read("session.revoked", timestamp=timestamp).revoked_at == at


@pytest.mark.parametrize("timestamp", ["now", 1.5, True, -1, 10**16])
def test_a_time_that_is_none_is_refused_by_its_name(timestamp):
    with pytest.raises(UnusableWebhookError, match=r"^timestamp: "):
        read("session.revoked", timestamp=timestamp)


@pytest.mark.parametrize("session_id", ["sess_2abc", "s", "!", "~" * 255, "session/../x", "0e12-4a"])
def test_a_session_id_of_another_shape_is_taken_as_long_as_a_token_can_carry_it(session_id):
    assert read("session.ended", id=session_id).id == session_id


@pytest.mark.parametrize("field", ["id", "user_id"])
@pytest.mark.parametrize("value", [OMIT, None, 7, "", "sess 1", "sess_\0", "sess_ä", "x" * 256, ["sess_1"], {}])
def test_an_id_that_is_none_is_refused_by_the_name_of_its_field(field, value):
    with pytest.raises(UnusableWebhookError, match=rf"^data(\.{field}: |: .*`{field}`)") as refused:
        read("session.ended", **{field: value})

    assert "sess" not in str(refused.value).replace("session id", "")


def test_a_user_id_of_another_shape_is_refused():
    with pytest.raises(UnusableWebhookError, match=r"^data\.user_id: not a Clerk user id"):
        read("session.ended", user_id="../users/user_1")
