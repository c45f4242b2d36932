"""What is published is what the contract says, and what the consumers' package reads."""

import json
from datetime import datetime, timedelta
from uuid import UUID, uuid5

import msgspec
from attrs import asdict, evolve
from hypothesis import given
from hypothesis import strategies as st

from adapters.kafka.asyncapi import document, schemas
from adapters.kafka.cloudevents import SESSION_TYPES, TYPES, USER_TYPES, encode
from anomalyze_auth import events as sdk
from application.relay.messages import OutboxMessage
from application.users.representation import profile_document
from domain.delete_user import delete_user
from domain.events import UserEvent
from domain.sync_user import sync_user
from domain.user import UserId
from support.memory import living
from support.message_headers import headers
from support.users import PROFILE, USER, deletion, snapshot, snapshots


def read(message: OutboxMessage) -> object:
    return sdk.decode([(name, value.encode()) for name, value in headers(message).items()], message.payload)


def created() -> UserEvent:
    return sync_user(None, snapshot(at=1_795_428_000_123)).events[0]


@given(snapshots, snapshots)
def test_the_consumers_package_reads_every_event_as_it_was_meant(first, second):
    decision = sync_user(None, first)
    later = sync_user(decision.user, second)

    for event in (*decision.events, *later.events):
        seen = read(encode(event))
        assert isinstance(seen, sdk.UserCreated | sdk.UserUpdated)
        assert seen.version == event.user.version
        shown = msgspec.to_builtins(asdict(seen.user))
        expected = json.loads(json.dumps(profile_document(event.user)))
        for moment in ("created_at", "updated_at"):
            assert datetime.fromisoformat(shown.pop(moment)) == datetime.fromisoformat(expected.pop(moment))
        assert json.loads(json.dumps(shown)) == expected
        if isinstance(seen, sdk.UserUpdated):
            assert set(seen.changed) == set(event.changed)


def test_the_consumers_package_reads_a_deletion():
    seen = read(encode(delete_user(living(sync_user(None, snapshot()).user), deletion(at=5000)).events[0]))

    assert isinstance(seen, sdk.UserDeleted)
    assert (seen.user_id, seen.version) == (USER, 2)


def test_a_deletion_carries_no_personal_data():
    event = delete_user(sync_user(None, snapshot()).user, deletion(at=5000)).events[0]

    assert msgspec.json.decode(encode(event).payload) == {
        "user": {"id": USER, "version": 2, "deleted_at": "1970-01-01T00:00:05.000Z"}
    }


def test_changed_is_empty_on_created():
    assert msgspec.json.decode(encode(created()).payload)["changed"] == []


def test_the_same_event_always_makes_the_same_message_and_another_one_another_id():
    other = sync_user(None, snapshot(UserId("user_other"))).events[0]
    second = evolve(created().user, version=2)

    assert encode(created()) == encode(created())
    ids = {encode(created()).event_id, encode(other).event_id, encode(type(created())(second)).event_id}
    assert len(ids) == 3


def test_every_type_goes_to_one_topic():
    assert sorted([*USER_TYPES, *SESSION_TYPES]) == sorted(TYPES.values())


def test_the_sequence_orders_as_text_like_the_versions_do():
    message = encode(created())
    texts = [headers(evolve(message, version=version))["ce_sequence"] for version in (1, 9, 10, 99, 100, 10**12)]

    assert texts == sorted(texts)
    assert {len(text) for text in texts} == {20}


def test_there_is_no_traceparent_header_without_a_trace():
    assert "traceparent" not in headers(encode(created()))


@given(st.integers(0, 253_402_300_799_999))
def test_times_are_rfc_3339_in_utc_to_the_millisecond(at):
    event = sync_user(None, snapshot(at=at)).events[0]

    text = headers(encode(event))["ce_time"]

    assert len(text) == 24
    assert text.endswith("Z")
    moment = datetime.fromisoformat(text)
    assert (moment - datetime.fromisoformat("1970-01-01T00:00:00Z")) / timedelta(milliseconds=1) == at


def test_every_event_fits_the_published_schema():
    for event in (created(), delete_user(None, deletion()).events[0]):
        schema = schemas()[TYPES[type(event)]]
        definitions = schema["$defs"]
        data = msgspec.json.decode(encode(event).payload)
        root = definitions[schema["$ref"].rpartition("/")[2]]
        user = definitions[root["properties"]["user"]["$ref"].rpartition("/")[2]]

        assert set(data) == set(root["required"])
        # A field that the messages before its release do not have is published, and not required.
        assert set(data["user"]) == set(user["properties"]) >= set(user["required"])


def test_the_document_names_every_header_that_is_sent():
    message = evolve(encode(created()), traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    for described in document("users")["components"]["messages"].values():
        assert set(described["headers"]["properties"]) == set(headers(message))


def test_every_kept_field_is_published():
    kept = set(asdict(PROFILE))

    assert kept == set(profile_document(living(sync_user(None, snapshot()).user))) - {"id", "version", "updated_at"}


def test_an_id_is_that_of_the_namespace_key_and_version():
    made = encode(created())

    assert made.event_id == uuid5(UUID("5c0f1d0a-4d0c-5f9b-9d55-0d7f3f6b3a11"), f"{made.key}/{made.version}")
