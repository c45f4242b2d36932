"""Events about ended sessions, which auth-service publishes on Kafka (CloudEvents 1.0, binary mode)."""

from datetime import datetime

import attrs
import msgspec

from anomalyze_auth.events import Headers, UnknownEvent, UnusableEvent, attributes_of

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
    revoked_at: datetime | None = None


@attrs.frozen(kw_only=True)
class _Revoked:
    session: _Session


_REVOKED = msgspec.json.Decoder(_Revoked)


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
    if value is None:
        raise UnusableEvent(f"an event {kind} without data")
    session = _session(value)
    if not 0 < len(session.id) <= _LONGEST_ID:
        raise UnusableEvent(f"the data of {kind}: the session id is empty or too long")
    return SessionRevoked(
        event_id=event_id, session_id=session.id, user_id=session.user_id, revoked_at=session.revoked_at
    )


def _session(value: bytes) -> _Session:
    try:
        return _REVOKED.decode(value).session
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, TypeError) as error:
        # msgspec's message has the path and the types, never a value.
        problem = str(error) if isinstance(error, msgspec.MsgspecError) else type(error).__name__
    raise UnusableEvent(f"the data of {_REVOKED_V1}: {problem}")
