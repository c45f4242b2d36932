"""The events' contract as documents: a JSON Schema for each type, and AsyncAPI 3 around them."""

from typing import Any

import msgspec

from adapters.kafka.cloudevents import CONTENT_TYPE, SOURCE, TYPES, UserChangedData, UserDeletedData
from domain.events import UserCreated, UserDeleted, UserEvent, UserUpdated

SCHEMA_DIALECT = "https://json-schema.org/draft/2020-12/schema"

_DATA: dict[type[UserEvent], Any] = {
    UserCreated: UserChangedData,
    UserUpdated: UserChangedData,
    UserDeleted: UserDeletedData,
}
_SUMMARIES: dict[type[UserEvent], str] = {
    UserCreated: "A user is known for the first time; `changed` is empty.",
    UserUpdated: "At least one field of the profile differs from the version before; `changed` names them.",
    UserDeleted: "The user is gone for good; nothing follows for this id.",
}
_HEADERS: dict[str, tuple[dict[str, Any], str]] = {
    "ce_specversion": ({"const": "1.0"}, "CloudEvents version."),
    "ce_id": ({"type": "string", "format": "uuid"}, "The same on every retry of one event."),
    "ce_source": ({"const": SOURCE}, "Who says so."),
    "ce_type": ({"type": "string"}, "The type and its version."),
    "ce_subject": ({"type": "string"}, "The user's id."),
    "ce_time": ({"type": "string", "format": "date-time"}, "When it changed at Clerk."),
    "ce_partitionkey": ({"type": "string"}, "The message key: the user's id."),
    "ce_sequence": (
        {"type": "string", "pattern": "^[0-9]{20}$"},
        "The user's version, zero-padded. Drop what is not greater than the last you saw of this user.",
    ),
    "content-type": ({"const": CONTENT_TYPE}, "Of the value."),
    "traceparent": ({"type": "string"}, "W3C Trace Context of the request that caused it, when there was one."),
}


def schemas() -> dict[str, dict[str, Any]]:
    """Return a self-contained JSON Schema of the value for each event type; new fields may be added to a version."""
    documents = {}
    for event, name in TYPES.items():
        document = msgspec.json.schema(_DATA[event])
        documents[name] = {"$schema": SCHEMA_DIALECT, "title": name, "description": _SUMMARIES[event], **document}
    return documents


def document(topic: str) -> dict[str, Any]:
    """Return the AsyncAPI 3 document of the topic."""
    messages = {name: _message(event, name) for event, name in TYPES.items()}
    (*_, components) = msgspec.json.schema_components(_DATA.values(), ref_template="#/components/schemas/{name}")
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "auth-service events",
            "version": "1.0.0",
            "description": (
                "What happened to the platform's users: CloudEvents 1.0 in binary mode, at least once, in version "
                "order for each user. A consumer that drops sequences it has seen sees each version once."
            ),
        },
        "defaultContentType": CONTENT_TYPE,
        "channels": {
            "userEvents": {
                "address": topic,
                "description": "Key: the user's id. Each event carries the user's full state.",
                "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
                "bindings": {"kafka": {"topic": topic, "bindingVersion": "0.5.0"}},
            }
        },
        "operations": {
            "publishUserEvents": {
                "action": "send",
                "channel": {"$ref": "#/channels/userEvents"},
                "messages": [{"$ref": f"#/channels/userEvents/messages/{name}"} for name in messages],
            }
        },
        "components": {"messages": messages, "schemas": components},
    }


def _message(event: type[UserEvent], name: str) -> dict[str, Any]:
    return {
        "name": name,
        "summary": _SUMMARIES[event],
        "contentType": CONTENT_TYPE,
        "headers": {
            "type": "object",
            "properties": {
                header: {**schema, **({"const": name} if header == "ce_type" else {}), "description": text}
                for header, (schema, text) in _HEADERS.items()
            },
            "required": [header for header in _HEADERS if header != "traceparent"],
        },
        "payload": {"$ref": f"#/components/schemas/{_DATA[event].__name__}"},
        "bindings": {"kafka": {"key": {"type": "string"}, "bindingVersion": "0.5.0"}},
    }
