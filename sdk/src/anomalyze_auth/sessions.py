"""Events about ended sessions, which auth-service publishes on Kafka (CloudEvents 1.0, binary mode)."""

from datetime import datetime

import attrs

from anomalyze_auth.events import Headers, Time, UnknownEvent, UnusableEvent, attributes_of, data_in

SESSION_TOPIC = "auth.session.events.v1"
_REVOKED_V1 = "anomalyze.session.revoked.v1"
_LONGEST_ID = 255


@attrs.frozen(kw_only=True)
class SessionRevoked:
    """A session ended permanently: refuse every token that names it."""

    event_id: str
    session_id: str
    user_id: str | None
    revoked_at: datetime | None


@attrs.frozen(kw_only=True)
class _Session:
    id: str
    user_id: str | None = None
    revoked_at: Time | None = None


@attrs.frozen(kw_only=True)
class _Revoked:
    session: _Session


def decode_session(headers: Headers, value: bytes | None) -> SessionRevoked | UnknownEvent:
    """The event in a message of the session topic; tolerant of unknown fields and types, as `events.decode` is.

    Raises:
        UnusableEvent: it is not a CloudEvent in binary mode, or its data does not fit its type. Nothing else is
            raised, whatever the record contains.
    """
    attributes = attributes_of(headers)
    event_id, kind = attributes["ce_id"], attributes["ce_type"]
    if kind != _REVOKED_V1:
        return UnknownEvent(event_id=event_id, type=kind)
    session = data_in(value, _Revoked, kind).session
    if not 0 < len(session.id) <= _LONGEST_ID:
        raise UnusableEvent(f"the data of {kind}: the session id is empty or too long")
    return SessionRevoked(
        event_id=event_id, session_id=session.id, user_id=session.user_id, revoked_at=session.revoked_at
    )
