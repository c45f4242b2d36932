"""Events as CloudEvents 1.0 in Kafka's binary mode (cloudevents/spec, bindings/kafka-protocol-binding.md)."""

import hashlib
from collections.abc import Sequence
from typing import TypedDict
from uuid import UUID

import msgspec

from application.relay.messages import OutboxMessage
from application.users import representation
from domain.events import Event, SessionRevoked, UserCreated, UserDeleted, UserUpdated, occurred_at

SOURCE = "/auth-service"
TYPES: dict[type[Event], str] = {
    UserCreated: "anomalyze.user.created.v1",
    UserUpdated: "anomalyze.user.updated.v1",
    UserDeleted: "anomalyze.user.deleted.v1",
    SessionRevoked: "anomalyze.session.revoked.v1",
}
USER_TYPES = (TYPES[UserCreated], TYPES[UserUpdated], TYPES[UserDeleted])
SESSION_TYPES = (TYPES[SessionRevoked],)
CONTENT_TYPE = "application/json"
SEQUENCE_DIGITS = 20

# The same for every message.
_SPECVERSION = ("ce_specversion", b"1.0")
_SOURCE = ("ce_source", SOURCE.encode())
CONTENT_TYPE_HEADER = ("content-type", CONTENT_TYPE.encode())

_NAMESPACE = UUID("5c0f1d0a-4d0c-5f9b-9d55-0d7f3f6b3a11").bytes


class UserChangedData(TypedDict):
    """The value of a created or updated event: the whole user, and what differs from the version before."""

    user: representation.ProfileDocument
    changed: Sequence[str]


class UserDeletedData(TypedDict):
    """The value of a deleted event: no personal data."""

    user: representation.TombstoneDocument


class SessionRevokedData(TypedDict):
    """The value of a session's only event."""

    session: representation.SessionDocument


def encode(event: Event, traceparent: str | None = None) -> OutboxMessage:
    """Encode the event; its id is derived from key and version, so it is the same however often it is encoded."""
    if isinstance(event, SessionRevoked):
        key, version = str(event.session.id), 1  # a session has one event
    else:
        key, version = str(event.user.id), event.user.version
    return OutboxMessage(
        key=key,
        version=version,
        event_id=event_id(key, version),
        type=TYPES[type(event)],
        occurred_at=occurred_at(event),
        payload=msgspec.json.encode(_data(event)),
        traceparent=traceparent,
    )


def event_id(key: str, version: int) -> UUID:
    """Return `uuid5(_NAMESPACE, f"{key}/{version}")`, which takes twice as long."""
    name = _NAMESPACE + f"{key}/{version}".encode()
    return UUID(bytes=hashlib.sha1(name, usedforsecurity=False).digest()[:16], version=5)


def record_headers(message: OutboxMessage) -> list[tuple[str, bytes]]:
    """Every attribute but the data, as Kafka headers."""
    key = message.key.encode()
    attributes = [
        _SPECVERSION,
        ("ce_id", str(message.event_id).encode()),
        _SOURCE,
        ("ce_type", message.type.encode()),
        ("ce_subject", key),
        ("ce_time", representation.rfc3339(message.occurred_at).encode()),
        ("ce_partitionkey", key),
        # The `sequence` extension orders as text; without `sequencetype` it is free of the 32-bit limit.
        ("ce_sequence", str(message.version).zfill(SEQUENCE_DIGITS).encode()),
        CONTENT_TYPE_HEADER,
    ]
    if message.traceparent:
        attributes.append(("traceparent", message.traceparent.encode()))
    return attributes


def _data(event: Event) -> UserChangedData | UserDeletedData | SessionRevokedData:
    match event:
        case UserCreated(user):
            return {"user": representation.profile_document(user), "changed": []}
        case UserUpdated(user, changed):
            return {"user": representation.profile_document(user), "changed": changed}
        case UserDeleted(user):
            return {"user": representation.tombstone_document(user)}
        case SessionRevoked(session):
            return {"session": representation.session_document(session)}
