"""Events about users, which auth-service publishes on Kafka (CloudEvents 1.0, binary mode)."""

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Annotated, Any, TypeVar

import attrs
import msgspec

from anomalyze_auth._json import decoded_object

_T = TypeVar("_T")

_DEEPEST = 512
"""The service publishes metadata with up to 100 levels, and a later one may add levels around it."""

Time = Annotated[datetime, msgspec.Meta(tz=True)]
"""RFC 3339, which has an offset from UTC: Python would take a time without one for local time."""

TOPIC = "auth.user.events.v1"


@attrs.frozen(kw_only=True)
class Email:
    """One email address of a user."""

    id: str
    email: str
    verified: bool = False
    status: str | None = None


@attrs.frozen(kw_only=True)
class Profile:
    """A user as of one version. Fields that an older producer does not send have their defaults."""

    id: str
    version: int
    email: str | None = None
    email_verified: bool = False
    emails: tuple[Email, ...] = ()
    phone: str | None = None
    username: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    image_url: str | None = None
    external_id: str | None = None
    public_metadata: dict[str, Any] = attrs.field(factory=dict)
    banned: bool = False
    locked: bool = False
    created_at: Time | None = None
    updated_at: Time | None = None


@attrs.frozen(kw_only=True)
class UserCreated:
    """A user was seen for the first time. `event_id` is the same on every delivery; `time`: at Clerk."""

    event_id: str
    time: datetime | None
    user: Profile

    @property
    def user_id(self) -> str:
        return self.user.id

    @property
    def version(self) -> int:
        return self.user.version


@attrs.frozen(kw_only=True)
class UserUpdated:
    """A user changed; `changed` names the fields of `user` that differ from the version before."""

    event_id: str
    time: datetime | None
    user: Profile
    changed: frozenset[str]

    @property
    def user_id(self) -> str:
        return self.user.id

    @property
    def version(self) -> int:
        return self.user.version


@attrs.frozen(kw_only=True)
class UserDeleted:
    """A user was deleted permanently: erase your data about them. The event contains no personal data."""

    event_id: str
    time: datetime | None
    user_id: str
    version: int
    deleted_at: datetime | None


@attrs.frozen(kw_only=True)
class UnknownEvent:
    """An event of a type that this version of the package does not know: skip it, or update the package."""

    event_id: str
    type: str


UserEvent = UserCreated | UserUpdated | UserDeleted


class UnusableEvent(ValueError):  # noqa: N818  (reads as what it is)
    """The message is not a readable event; the text says why and contains no personal data."""


@attrs.frozen(kw_only=True)
class _Tombstone:
    id: str
    version: int
    deleted_at: Time | None = None


@attrs.frozen(kw_only=True)
class _Changed:
    user: Profile
    changed: frozenset[str] = frozenset()


@attrs.frozen(kw_only=True)
class _Deleted:
    user: _Tombstone


Headers = Mapping[str, str | bytes | None] | Iterable[tuple[str, str | bytes | None]]


def decode(headers: Headers, value: bytes | None) -> UserEvent | UnknownEvent:
    """The event in a Kafka message.

    Unknown fields and headers are ignored, absent optional ones have their
    default, and an unknown `ce_type` (a later version, another kind) is an `UnknownEvent`, not an error.

    Args:
        headers: as aiokafka (pairs of name and bytes) or FastStream (a mapping) give them. A header without a value
            counts as absent; headers that are not attributes of the event are ignored.
        value: the message's value.

    Raises:
        UnusableEvent: it is not a CloudEvent in binary mode, its data does not fit its type, or its
            headers contradict each other or the data. Nothing else is raised, whatever the record contains.
    """
    attributes = attributes_of(headers)
    event_id, kind = attributes["ce_id"], attributes["ce_type"]
    if kind not in _KINDS:
        return UnknownEvent(event_id=event_id, type=kind)
    event = _event(kind, event_id, _time(attributes.get("ce_time")), value)
    if user_id_in(attributes) != event.user_id:
        raise UnusableEvent("the header ce_subject is not the id of the user in the data")
    if version_in(attributes) != event.version:
        raise UnusableEvent("the header ce_sequence is not the version of the user in the data")
    return event


_CREATED_V1 = "anomalyze.user.created.v1"
_UPDATED_V1 = "anomalyze.user.updated.v1"
_DELETED_V1 = "anomalyze.user.deleted.v1"
_KINDS = frozenset({_CREATED_V1, _UPDATED_V1, _DELETED_V1})


def attributes_of(headers: Headers) -> dict[str, str]:
    """The attributes, `ce_id` and `ce_type` among them; UnusableEvent: it is not a CloudEvent in binary mode."""
    attributes = _texts(headers)
    if attributes.get("content-type", "").startswith("application/cloudevents"):
        raise UnusableEvent("a CloudEvent in structured mode; this topic carries binary mode")
    if attributes.get("ce_specversion") != "1.0":
        raise UnusableEvent("no CloudEvent 1.0: the header ce_specversion is missing or another")
    if not attributes.get("ce_id") or not attributes.get("ce_type"):
        raise UnusableEvent("the header ce_id or ce_type is missing")
    return attributes


def version_in(attributes: Mapping[str, str]) -> int:
    """The user's version, from 1 to the largest bigint of a database; UnusableEvent: the header names none."""
    sequence = attributes.get("ce_sequence", "")
    if sequence.isascii() and sequence.isdecimal() and len(sequence) <= _LONGEST_SEQUENCE:
        version = int(sequence)
        if 0 < version <= _HIGHEST_VERSION:
            return version
    raise UnusableEvent("the header ce_sequence is not a version")


_LONGEST_SEQUENCE = 40
"""Producers send twenty digits; `int` raises another error for thousands."""
_HIGHEST_VERSION = 2**63 - 1


def user_id_in(attributes: Mapping[str, str]) -> str:
    """The user's id, visible ASCII, which is safe in keys, columns and logs; UnusableEvent: the header has none."""
    user_id = attributes.get("ce_subject", "")
    if not _USER_ID.fullmatch(user_id):
        raise UnusableEvent("the header ce_subject is not a user id")
    return user_id


_USER_ID = re.compile(r"[!-~]{1,255}")


def _texts(headers: Headers) -> dict[str, str]:
    """The event's attributes and the content type. In Kafka a header may have no value, and a name may come twice."""
    attributes: dict[str, str] = {}
    problem = "the headers are not pairs of a name and UTF-8"
    try:
        for name, value in headers.items() if isinstance(headers, Mapping) else headers or ():
            if value is None or not name.startswith(("ce_", "content-type")):
                continue
            text = value if isinstance(value, str) else str(value, "utf-8")
            text.encode()  # a lone surrogate could not be stored anywhere
            if attributes.setdefault(name, text) != text:
                problem = f"the header {name[:40]!r} comes twice, with two values"
                break
        else:
            return attributes
    except (TypeError, ValueError, AttributeError):
        pass
    raise UnusableEvent(problem)


def data_in(value: bytes | None, shape: type[_T], kind: str) -> _T:
    """The data of an event of this type, or raise UnusableEvent: there is none, or it does not fit the type."""
    if value is None:
        raise UnusableEvent(f"an event {kind} without data")
    try:
        document = decoded_object(value, _DEEPEST)
        if document is not None:
            return msgspec.convert(document, shape)
        problem = "not a JSON object"
    except msgspec.ValidationError as error:
        problem = str(error)  # it has the path and the types, never a value
    except (RecursionError, TypeError) as error:
        problem = type(error).__name__
    raise UnusableEvent(f"the data of {kind}: {problem}")


def _event(kind: str, event_id: str, time: datetime | None, value: bytes | None) -> UserEvent:
    if kind == _DELETED_V1:
        gone = data_in(value, _Deleted, kind).user
        return UserDeleted(
            event_id=event_id, time=time, user_id=gone.id, version=gone.version, deleted_at=gone.deleted_at
        )
    data = data_in(value, _Changed, kind)
    if kind == _CREATED_V1:
        return UserCreated(event_id=event_id, time=time, user=data.user)
    return UserUpdated(event_id=event_id, time=time, user=data.user, changed=data.changed)


def _time(text: str | None) -> datetime | None:
    try:
        time: datetime | None = msgspec.convert(text, Time | None)
    except msgspec.ValidationError:
        pass
    else:
        return time
    raise UnusableEvent("the header ce_time is not RFC 3339")
