"""User states as records: what is read, what is refused, and what a collection of them holds."""

import pytest

from anomalyze_auth.events import UnknownEvent, UnusableEvent, decode
from anomalyze_auth.state import UserGone, UserState, UserStates, decode_state
from sdktest.messages import PROFILE, deleted, headers, updated, value
from sdktest.rows import each_row

KEY = b"user_1"


def state(version: int = 3, user_id: str = "user_1", **changes) -> tuple[dict[str, str], bytes, bytes]:
    attributes = headers("state.v1", version, user_id, **changes)
    return attributes, user_id.encode(), value({**PROFILE, "id": user_id, "version": version})


def gone(version: int, user_id: str = "user_1") -> tuple[dict[str, str], bytes, None]:
    return headers("state.v1", version, user_id, **{"content-type": ...}), user_id.encode(), None


def test_a_state_is_the_whole_user():
    seen = decode_state(*state())

    assert isinstance(seen, UserState)
    assert (seen.user_id, seen.version, seen.user.email) == ("user_1", 3, "ada@example.com")


def test_a_record_without_a_value_is_a_user_who_is_gone():
    assert decode_state(*gone(4)) == UserGone(user_id="user_1", version=4)


def test_a_later_kind_of_state_is_unknown_and_no_error():
    attributes, key, data = state(ce_type="anomalyze.user.state.v2")

    assert isinstance(decode_state(attributes, key, data), UnknownEvent)
    assert isinstance(decode_state(attributes, key, b"\x00"), UnknownEvent)


@each_row(
    ("changes", "key", "data"),
    [
        ({"ce_specversion": ...}, KEY, value()),
        ({"ce_id": ...}, KEY, value()),
        ({"ce_type": ...}, KEY, value()),
        ({"content-type": "application/cloudevents+json"}, KEY, value()),
        ({"ce_subject": ...}, KEY, value()),
        ({"ce_subject": ...}, b"", value()),
        ({}, None, value()),
        ({}, b"user_2", value()),
        ({"ce_sequence": ...}, KEY, value()),
        ({"ce_sequence": "-3"}, KEY, value()),
        ({"ce_sequence": "٣"}, KEY, value()),
        ({"ce_sequence": "3" * 5000}, KEY, value()),
        ({"ce_sequence": "3" * 5000}, KEY, None),
        ({"ce_sequence": "4"}, KEY, value()),
        ({}, KEY, value({**PROFILE, "id": "user_2"})),
        ({}, KEY, value({"id": "user_1"})),
        ({}, KEY, b""),
        ({}, KEY, b"\xff"),
        ({}, KEY, b"[" * 100_000),
        ({}, KEY, b"null"),
    ],
)
def test_what_contradicts_itself_or_is_no_state_is_unusable_and_repeats_nothing_of_it(changes, key, data):
    with pytest.raises(UnusableEvent) as refused:
        decode_state(headers("state.v1", **changes), key, data)

    assert "ada@example.com" not in str(refused.value)


def test_a_collection_takes_in_what_is_newer_and_forgets_who_is_gone():
    users = UserStates()
    records = [state(1), state(2), state(1), state(2, "user_2"), gone(3), state(2), state(2, "user_2")]

    news = [users.apply(decode_state(*record)) for record in records]

    assert news == [True, True, False, True, True, False, False]
    assert dict(users).keys() == {"user_2"}
    assert users["user_2"].version == 2
    assert (len(users), "user_1" in users) == (1, False)


def test_a_collection_can_be_kept_current_by_events():
    users = UserStates()
    users.apply(decode_state(*state(2)))

    assert users.apply(decode(*updated(2))) is False
    assert users.apply(decode(*updated(3))) is True
    assert users.apply(decode(*deleted(4))) is True
    assert users.apply(UnknownEvent(event_id="x", type="y")) is False
    assert len(users) == 0
