import json
from datetime import UTC, datetime

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from anomalyze_auth.consumer import InMemoryLastSeen, Outcome, UserEvents
from anomalyze_auth.events import (
    Email,
    UnknownEvent,
    UnusableEvent,
    UserCreated,
    UserDeleted,
    UserEvent,
    UserUpdated,
    decode,
)
from anomalyze_auth.state import UserGone, UserState, decode_state
from sdktest.messages import PROFILE, deleted, headers, updated, value
from sdktest.rows import each_row


def test_an_update_carries_the_whole_profile_and_what_changed():
    event = decode(headers(), value(changed=["email", "banned"]))

    assert isinstance(event, UserUpdated)
    assert event.event_id == "6f1c2c1e-0000-4000-8000-000000000001"
    assert event.time == datetime(2026, 11, 23, 10, 0, 1, 250_000, tzinfo=UTC)
    assert (event.user_id, event.version) == ("user_1", 3)
    assert event.changed == {"email", "banned"}
    assert event.user.emails == (Email(id="idn_1", email="ada@example.com", verified=True, status="verified"),)
    assert event.user.public_metadata == {"plan": "pro"}
    assert event.user.updated_at == event.time


def test_a_creation_is_a_type_of_its_own():
    event = decode(headers("created.v1"), value(changed=[]))

    assert isinstance(event, UserCreated)
    assert event.user.first_name == "Ada"


def test_a_deletion_carries_nothing_personal():
    event = decode(*deleted(4))

    assert event == UserDeleted(
        event_id="6f1c2c1e-0000-4000-8000-000000000001",
        time=datetime(2026, 11, 23, 10, 0, 1, 250_000, tzinfo=UTC),
        user_id="user_1",
        version=4,
        deleted_at=datetime(2026, 11, 23, 11, tzinfo=UTC),
    )


def test_headers_may_come_as_aiokafka_gives_them():
    pairs = tuple((name, text.encode()) for name, text in headers().items())

    assert decode(pairs, value()) == decode(headers(), value())


def test_fields_and_headers_of_a_later_version_are_ignored_and_those_of_an_earlier_one_may_be_absent():
    later = decode(
        headers(ce_future="x"),
        value({**PROFILE, "nickname": "A", "emails": [{"id": "i", "email": "e", "new": 1}]}, extra=1),
    )
    earlier = decode(headers(ce_time=..., traceparent=...), value({"id": "user_1", "version": 3}))

    assert isinstance(later, UserUpdated)
    assert isinstance(earlier, UserUpdated)
    assert later.user.first_name == "Ada"
    assert (earlier.user.email, earlier.user.banned, earlier.time) == (None, False, None)


@each_row("kind", ["updated.v2", "merged.v1", "updated", "updated.v1.x"])
@each_row("data", [b"", b"\xff", b"{}", None])
def test_a_type_of_the_future_is_unknown_whatever_its_data(kind: str, data: bytes | None):
    assert decode(headers(kind), data) == UnknownEvent(
        event_id="6f1c2c1e-0000-4000-8000-000000000001", type=f"anomalyze.user.{kind}"
    )


@each_row(
    ("changed_headers", "data", "message"),
    [
        ({"ce_specversion": ...}, value(), "ce_specversion"),
        ({"ce_specversion": "0.3"}, value(), "ce_specversion"),
        ({"ce_id": ...}, value(), "ce_id"),
        ({"ce_id": ""}, value(), "ce_id"),
        ({"ce_type": ...}, value(), "ce_type"),
        ({"content-type": "application/cloudevents+json; charset=utf-8"}, value(), "structured mode"),
        ({"ce_subject": ...}, value(), "ce_subject"),
        ({"ce_subject": "user_2"}, value(), "ce_subject"),
        ({"ce_sequence": ...}, value(), "ce_sequence"),
        ({"ce_sequence": "4"}, value(), "ce_sequence"),
        ({"ce_sequence": "three"}, value(), "ce_sequence"),
        ({"ce_sequence": "٣"}, value(), "ce_sequence"),
        ({"ce_time": "yesterday"}, value(), "ce_time"),
        ({"ce_source": b"\xff"}, value(), "UTF-8"),
        ({"ce_source": "\ud800"}, value(), "UTF-8"),
        ({"ce_source": 5}, value(), "UTF-8"),
        ({"ce_id": None}, value(), "ce_id"),
        ({"ce_type": None}, value(), "ce_type"),
        ({"ce_specversion": None}, value(), "ce_specversion"),
        ({"ce_subject": None}, value(), "ce_subject"),
        ({"ce_subject": ""}, value({**PROFILE, "id": ""}), "ce_subject"),
        ({"ce_subject": "user\n1"}, value({**PROFILE, "id": "user\n1"}), "ce_subject"),
        ({"ce_subject": "user_\0"}, value({**PROFILE, "id": "user_\0"}), "ce_subject"),
        ({"ce_subject": "u" * 256}, value({**PROFILE, "id": "u" * 256}), "ce_subject"),
        ({"ce_sequence": None}, value(), "ce_sequence"),
        ({"ce_sequence": "0"}, value({**PROFILE, "version": 0}), "ce_sequence"),
        ({"ce_sequence": "-1"}, value({**PROFILE, "version": -1}), "ce_sequence"),
        ({"ce_sequence": str(2**63)}, value({**PROFILE, "version": 2**63}), "ce_sequence"),
        ({"ce_sequence": "9" * 5000}, value(), "ce_sequence"),
        ({"ce_time": "\ud800"}, value(), "UTF-8"),
        ({}, None, "without data"),
        ({}, b"", "the data of"),
        ({}, b"\xff", "the data of"),
        ({}, b"[]", "the data of"),
        ({}, b"{}", "missing required field `user`"),
        ({}, value({"id": "user_1"}), "missing required field `version`"),
        ({}, value({**PROFILE, "version": "3"}), r"at `\$.user.version`"),
        ({}, value({**PROFILE, "email": ["secret@example.com"]}), r"at `\$.user.email`"),
        ({}, value({**PROFILE, "created_at": "secret"}), r"at `\$.user.created_at`"),
        ({}, b'{"user":' * 5000, "the data of"),
        ({}, b'{"user":' + b"[" * 100_000, "the data of"),
        ({}, value({**PROFILE, "version": 10**40}), "ce_sequence"),
        ({}, b'{"user":{"id":"user_1","version":1' + b"0" * 5000 + b"}}", "the data of"),
        ({}, b'{"user":{"id":"user_1","version":3,"public_metadata":{"a":1e999}}}', "the data of"),
        ({}, b'{"user":{"id":"user_1","version":3,"first_name":"\\ud800"}}', "the data of"),
        ({}, 5, "the data of"),
        ({}, ["text"], "the data of"),
    ],
)
def test_what_is_no_event_of_ours_is_an_error_that_says_why_and_shows_nothing_personal(changed_headers, data, message):
    with pytest.raises(UnusableEvent, match=message) as caught:
        decode(headers(**changed_headers), data)

    assert "secret" not in str(caught.value)
    assert caught.value.__context__ is None


def test_headers_that_are_no_attribute_are_not_looked_at():
    pairs = [*headers().items(), ("trace", None), ("x", b"\xff"), ("reply_to", None), ("x", b"twice")]

    assert decode(pairs, value()) == decode(headers(), value())


def test_an_optional_header_without_a_value_is_absent():
    event = decode(headers(ce_time=None, ce_source=None), value())
    assert isinstance(event, UserUpdated)
    assert event.time is None


def test_an_attribute_that_comes_twice_counts_only_where_both_say_the_same():
    assert decode([*headers().items(), ("ce_id", headers()["ce_id"].encode())], value()) == decode(headers(), value())
    for name in ("ce_id", "ce_type", "ce_subject", "ce_sequence", "content-type"):
        with pytest.raises(UnusableEvent, match=f"{name}.*twice"):
            decode([*headers().items(), (name, b"another")], value())


@each_row("strange", [None, (), [None], ["text"], [("a",)], [("a", b"b", b"c")], 5, [(None, b"x")], [(b"ce_id", b"x")]])
def test_headers_of_any_form_are_unusable_at_worst(strange):
    with pytest.raises(UnusableEvent):
        decode(strange, value())
    with pytest.raises(UnusableEvent):
        decode_state(strange, b"user_1", value())


# What aiokafka can hand over, and what else a client could make of a record.
NAMES = st.sampled_from(sorted(headers())) | st.text()
CONTENTS = (
    st.none() | st.binary() | st.text(st.characters()) | st.integers() | st.sampled_from(list(headers().values()))
)
SURE = st.just(list(headers().items()))
HEADERS = st.builds(lambda first, more: first + more, SURE | st.just([]), st.lists(st.tuples(NAMES, CONTENTS)))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
)
PROFILES = st.dictionaries(st.sampled_from(sorted(PROFILE)), JSON).map(lambda changed: value({**PROFILE, **changed}))
VALUES = st.none() | st.binary() | st.just(value()) | JSON.map(json.dumps).map(str.encode) | PROFILES | st.integers()


@settings(deadline=None)
@given(HEADERS | st.none() | st.lists(st.integers()) | HEADERS.map(dict), st.none() | st.binary() | st.text(), VALUES)
@example(headers(), b"user_1", value())
async def test_any_record_is_an_event_or_an_unusable_one(given_headers, key, data):
    unusable: list[UnusableEvent] = []
    handled: list[UserEvent] = []

    async def note(error: UnusableEvent) -> None:
        unusable.append(error)

    async def handle(event: UserEvent) -> None:
        assert 0 < event.version < 2**63
        handled.append(event)

    outcome = await UserEvents(InMemoryLastSeen(), on_unusable=note).deliver(given_headers, data, handle)

    assert (outcome is Outcome.UNUSABLE) == (len(unusable) == 1)
    assert (outcome is Outcome.HANDLED) == (len(handled) == 1)
    try:
        assert isinstance(decode_state(given_headers, key, data), UserState | UserGone | UnknownEvent)
    except UnusableEvent as error:
        str(error).encode()


async def test_duplicates_and_stale_versions_are_dropped():
    seen: list[tuple[str, int]] = []

    async def handle(event: UserEvent) -> None:
        seen.append((event.user_id, event.version))

    events = UserEvents(InMemoryLastSeen())
    messages = [updated(1), updated(1), updated(3), updated(2), updated(1, "user_2"), deleted(4), updated(4)]
    outcomes = [await events.deliver(*message, handle) for message in messages]

    assert seen == [("user_1", 1), ("user_1", 3), ("user_2", 1), ("user_1", 4)]
    assert [outcome is Outcome.HANDLED for outcome in outcomes] == [True, False, True, False, True, True, False]


async def test_what_a_handler_could_not_handle_is_not_remembered():
    calls = 0

    async def handle(event: UserEvent) -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise ConnectionError

    events = UserEvents(InMemoryLastSeen())
    with pytest.raises(ConnectionError):
        await events.deliver(*updated(1), handle)

    assert await events.deliver(*updated(1), handle) is Outcome.HANDLED
    assert calls == 2


async def test_unknown_types_are_skipped_and_unusable_messages_go_where_one_says():
    unusable: list[UnusableEvent] = []

    async def handle(event: UserEvent) -> None:
        raise AssertionError

    async def note(error: UnusableEvent) -> None:
        unusable.append(error)

    events = UserEvents(InMemoryLastSeen(), on_unusable=note)

    assert await events.deliver(headers("updated.v2"), b"?", handle) is Outcome.UNKNOWN
    assert await events.deliver({}, b"?", handle) is Outcome.UNUSABLE
    assert len(unusable) == 1
    with pytest.raises(UnusableEvent):
        await UserEvents(InMemoryLastSeen()).deliver({}, b"?", handle)


async def test_memory_is_bounded_and_forgets_the_user_who_was_quiet_longest():
    last_seen = InMemoryLastSeen(most_users=2)
    for user_id, version in [("a", 1), ("b", 1), ("a", 2), ("c", 1)]:
        await last_seen.remember(user_id, version)

    assert [await last_seen.version(user_id) for user_id in "abc"] == [2, 0, 1]
