"""The events' contract as documents: a JSON Schema for each type, and AsyncAPI 3 around them."""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from adapters.kafka import cloudevents
from adapters.kafka.user_state import STATE_TYPE, UserStateData
from application.relay.topics import EVENTS, SESSIONS, STATE, TopicDefinition
from domain.events import Event, SessionRevoked, UserCreated, UserDeleted, UserUpdated

SCHEMA_DIALECT = "https://json-schema.org/draft/2020-12/schema"

_BOUND_SETTINGS = {"cleanup.policy", "retention.ms", "delete.retention.ms", "max.message.bytes"}
"""The topic's settings that the binding has a place for."""

_DATA: dict[type[Event], Any] = {
    UserCreated: cloudevents.UserChangedData,
    UserUpdated: cloudevents.UserChangedData,
    UserDeleted: cloudevents.UserDeletedData,
    SessionRevoked: cloudevents.SessionRevokedData,
}
_SUMMARIES: dict[type[Event], str] = {
    UserCreated: "A user is known for the first time; `changed` is empty.",
    UserUpdated: "At least one field of the profile differs from the version before; `changed` names them.",
    UserDeleted: "The user was deleted permanently; no later event has this id.",
    SessionRevoked: "The session ended: refuse its tokens, which may live for a minute. A session has one such event.",
}
_STATE_SUMMARY = "A user's newest version, as a whole; it takes the place of every record of this user before it."
_TOMBSTONE_SUMMARY = "The user was deleted permanently: without a value, compaction removes all records of this key."

_HEADERS: dict[str, tuple[dict[str, Any], str]] = {
    "ce_specversion": ({"const": "1.0"}, "CloudEvents version."),
    "ce_id": ({"type": "string", "format": "uuid"}, "The same on every retry of one event."),
    "ce_source": ({"const": cloudevents.SOURCE}, "The service that publishes the event."),
    "ce_type": ({"type": "string"}, "The type and its version."),
    "ce_subject": ({"type": "string"}, "The user's id."),
    "ce_time": ({"type": "string", "format": "date-time"}, "When it changed at Clerk."),
    "ce_partitionkey": ({"type": "string"}, "The message key: the user's id."),
    "ce_sequence": (
        {"type": "string", "pattern": "^[0-9]{20}$"},
        "The user's version, zero-padded. Drop what is not greater than the last you saw of this user.",
    ),
    "content-type": ({"const": cloudevents.CONTENT_TYPE}, "Of the value."),
    "traceparent": ({"type": "string"}, "W3C Trace Context of the request that caused it, when there was one."),
}
_SESSION_HEADERS = {
    "ce_subject": "The session's id.",
    "ce_time": "When the session ended at Clerk.",
    "ce_partitionkey": "The message key: the session's id.",
    "ce_sequence": "1, zero-padded: a session has one event.",
}
"""Descriptions of headers that differ for a session's event."""


def schemas() -> dict[str, dict[str, Any]]:
    """Return a self-contained JSON Schema of the value for each event type; new fields may be added to a version."""
    documents = {}
    for event, name in cloudevents.TYPES.items():
        document = msgspec.json.schema(_DATA[event])
        documents[name] = {"$schema": SCHEMA_DIALECT, "title": name, "description": _SUMMARIES[event], **document}
    state = msgspec.json.schema(UserStateData)
    documents[STATE_TYPE] = {"$schema": SCHEMA_DIALECT, "title": STATE_TYPE, "description": _STATE_SUMMARY, **state}
    return documents


def document(
    topic: str = EVENTS.default_name,
    state_topic: str = STATE.default_name,
    session_topic: str = SESSIONS.default_name,
) -> dict[str, Any]:
    events = {name: _event(event, name) for event, name in cloudevents.TYPES.items() if event is not SessionRevoked}
    revoked = cloudevents.TYPES[SessionRevoked]
    sessions = {revoked: _event(SessionRevoked, revoked, _SESSION_HEADERS)}
    states = {
        STATE_TYPE: _message(STATE_TYPE, _STATE_SUMMARY, {"$ref": f"#/components/schemas/{UserStateData.__name__}"}),
        f"{STATE_TYPE}.tombstone": _message(STATE_TYPE, _TOMBSTONE_SUMMARY, {"type": "null"}),
    }
    kinds = [*_DATA.values(), UserStateData]
    (*_, components) = msgspec.json.schema_components(kinds, ref_template="#/components/schemas/{name}")
    return {
        "asyncapi": "3.1.0",
        "info": {
            "title": "auth-service events",
            "version": "1.0.0",
            "description": (
                "What happened to the platform's users: CloudEvents 1.0 in binary mode, at least once, in version "
                "order for each user. A consumer that drops sequences it has seen sees each version once. And who they "
                "are now: each user's newest version, compacted, for a service that begins with all of them. And which "
                "sessions ended, for a service that refuses their tokens at once."
            ),
        },
        "defaultContentType": cloudevents.CONTENT_TYPE,
        "channels": {
            "userEvents": {
                "address": topic,
                "description": "Key: the user's id. Each event carries the user's full state.",
                "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in events},
                "bindings": {"kafka": channel_binding(EVENTS, topic)},
            },
            "userState": {
                "address": state_topic,
                "description": (
                    "Key: the user's id. No version of a user ever comes after a newer one; the last record of a key "
                    "is what the user is now. Read it from the beginning to have all users; keep reading to stay "
                    "current. The service writes it only if KAFKA_USER_STATE_TOPIC names it."
                ),
                "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in states},
                "bindings": {"kafka": channel_binding(STATE, state_topic)},
            },
            "sessionEvents": {
                "address": session_topic,
                "description": (
                    "Key: the session's id. Read it from some minutes ago, by timestamp and without a consumer group, "
                    "and keep reading: what was read is the set of sessions to refuse. The order does not matter."
                ),
                "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in sessions},
                "bindings": {"kafka": channel_binding(SESSIONS, session_topic)},
            },
        },
        "operations": {
            "publishUserEvents": _operation("userEvents", events),
            "publishUserState": _operation("userState", states),
            "publishSessionEvents": _operation("sessionEvents", sessions),
        },
        "components": {"messages": events | states | sessions, "schemas": components},
    }


def channel_binding(definition: TopicDefinition, topic: str) -> dict[str, Any]:
    """Return AsyncAPI's Kafka channel binding (asyncapi/bindings, kafka 0.5.0): what the topic is defined to be."""
    configuration = {
        setting.name: [setting.value] if setting.name == "cleanup.policy" else int(setting.value)
        for setting in definition.settings
        if setting.name in _BOUND_SETTINGS
    }
    return {
        "topic": topic,
        "partitions": definition.partitions,
        "replicas": definition.replication_factor,
        "topicConfiguration": configuration,
        "bindingVersion": "0.5.0",
    }


def _operation(channel: str, messages: Iterable[str]) -> dict[str, Any]:
    return {
        "action": "send",
        "channel": {"$ref": f"#/channels/{channel}"},
        "messages": [{"$ref": f"#/channels/{channel}/messages/{name}"} for name in messages],
    }


def _event(event: type[Event], name: str, headers: Mapping[str, str] = {}) -> dict[str, Any]:
    return _message(name, _SUMMARIES[event], {"$ref": f"#/components/schemas/{_DATA[event].__name__}"}, headers)


def _message(name: str, summary: str, payload: dict[str, Any], descriptions: Mapping[str, str] = {}) -> dict[str, Any]:
    optional = {"traceparent"} | ({"content-type"} if payload == {"type": "null"} else set())
    return {
        "name": name,
        "summary": summary,
        "contentType": cloudevents.CONTENT_TYPE,
        "headers": {
            "type": "object",
            "properties": {
                header: {
                    **schema,
                    **({"const": name} if header == "ce_type" else {}),
                    "description": descriptions.get(header, text),
                }
                for header, (schema, text) in _HEADERS.items()
            },
            "required": [header for header in _HEADERS if header not in optional],
        },
        "payload": payload,
        "bindings": {"kafka": {"key": {"type": "string"}, "bindingVersion": "0.5.0"}},
    }
