"""Records of the state topic: a user's newest version under the user's id, and no value once the user is gone."""

from typing import TypedDict

from adapters.kafka.cloudevents import CONTENT_TYPE_HEADER, TYPES, record_headers
from application.relay.messages import OutboxMessage
from application.users.representation import ProfileDocument
from domain.events import UserDeleted

STATE_TYPE = "anomalyze.user.state.v1"

_STATE_TYPE = ("ce_type", STATE_TYPE.encode())
_CHANGED = b',"changed":'
_DELETED_TYPE = TYPES[UserDeleted]


class UserStateData(TypedDict):
    """The value of a state record: the whole user."""

    user: ProfileDocument


def state_value(message: OutboxMessage) -> bytes | None:
    """Cut the state, without `changed`, out of an event's bytes; `None`, a tombstone, for a deletion."""
    if message.type == _DELETED_TYPE:
        return None
    user, found, _ = message.payload.rpartition(_CHANGED)
    return user + b"}" if found else message.payload


def state_headers(message: OutboxMessage, value: bytes | None) -> list[tuple[str, bytes]]:
    """Return the event's attributes under the state's type; without a value there is no content type."""
    return [
        (_STATE_TYPE if header[0] == "ce_type" else header)
        for header in record_headers(message)
        if value is not None or header is not CONTENT_TYPE_HEADER
    ]
