"""A state record is the event's user and nothing else, cut out of its bytes; the consumers' package reads it."""

import msgspec
from hypothesis import given

from adapters.kafka.asyncapi import document
from adapters.kafka.cloudevents import encode
from adapters.kafka.user_state import STATE_TYPE, state_headers, state_value
from anomalyze_auth import state as sdk
from application.users.representation import profile_document
from domain.delete_user import delete_user
from domain.sync_user import sync_user
from domain.user import User
from support.users import USER, deletion, snapshot, snapshots


def read(message) -> object:
    value = state_value(message)
    return sdk.decode_state(state_headers(message, value), message.key.encode(), value)


@given(snapshots, snapshots)
def test_the_state_is_the_user_of_the_event_byte_for_byte(first, second):
    decision = sync_user(None, first)
    later = sync_user(decision.user, second)

    for event in (*decision.events, *later.events):
        value = state_value(encode(event))
        assert value == msgspec.json.encode({"user": profile_document(event.user)})
        seen = read(encode(event))
        assert isinstance(seen, sdk.UserState)
        assert (seen.user_id, seen.version) == (event.user.id, event.user.version)
        assert seen.user.first_name == event.user.profile.first_name


def test_text_that_looks_like_the_end_of_the_user_does_not_cut_it_short():
    tricky = {"changed": [1], "text": ',"changed":[]}'}
    user = sync_user(None, snapshot(public_metadata=tricky)).user
    assert isinstance(user, User)

    message = encode(sync_user(None, snapshot(public_metadata=tricky)).events[0])

    assert msgspec.json.decode(state_value(message)) == {"user": profile_document(user)}


def test_a_deletion_is_a_tombstone_and_the_package_says_who_is_gone():
    message = encode(delete_user(sync_user(None, snapshot()).user, deletion(at=5000)).events[0])

    assert state_value(message) is None
    assert read(message) == sdk.UserGone(user_id=USER, version=2)


def test_every_header_that_is_sent_is_in_the_document():
    messages = document("users", "states")["components"]["messages"]
    living = encode(sync_user(None, snapshot()).events[0])
    gone = encode(delete_user(sync_user(None, snapshot()).user, deletion()).events[0])

    for message, name in ((living, STATE_TYPE), (gone, f"{STATE_TYPE}.tombstone")):
        sent = {header for header, _ in state_headers(message, state_value(message))}
        described = messages[name]["headers"]
        assert sent == set(described["required"])
        assert described["properties"]["ce_type"]["const"] == STATE_TYPE
