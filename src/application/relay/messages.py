"""Stored events, as relays send them: the bytes are fixed when an event is stored, so every retry sends the same."""

from collections.abc import Callable, Sequence
from uuid import UUID

from attrs import field, frozen

from application.failure import Failure
from domain.events import Event


@frozen(kw_only=True)
class OutboxMessage:
    """One event of one user or session, as stored beside the row and as published."""

    key: str  # the id of the user or session
    version: int
    event_id: UUID
    type: str  # the CloudEvents type, such as `anomalyze.user.updated.v1`
    occurred_at: int  # when it changed at Clerk, ms
    payload: bytes = field(repr=False)  # the JSON value, byte for byte as consumers get it
    traceparent: str | None = None  # W3C Trace Context of the request that caused it


def kind_of(event_type: str) -> str:
    """`anomalyze.user.updated.v1` is `updated`, and so for sessions; any other type is returned unchanged."""
    parts = event_type.split(".")
    ours = event_type.startswith(("anomalyze.user.", "anomalyze.session."))
    return parts[2] if ours and len(parts) == 4 else event_type  # noqa: PLR2004


Encode = Callable[[Event, str | None], OutboxMessage]
"""Encode an event, with the trace context that caused it, in its published form; the result is deterministic."""


@frozen(kw_only=True)
class Pending:
    """A stored message that Kafka has not acknowledged."""

    id: int  # stable and unique; it implies no order, only the version does
    lane: int
    stored_at: float  # seconds since 1970, by the database's clock
    message: OutboxMessage


@frozen
class RefusedMessage:
    """A message that the broker refuses permanently."""

    pending: Pending
    error: str
    attempts: int


@frozen
class DeliveryResults:
    """The result of `Publisher.publish`; of a message in neither list it is unknown whether it arrived."""

    acknowledged: Sequence[Pending] = ()
    refused: Sequence[RefusedMessage] = ()
    outage: Failure | None = None  # why the rest did not arrive: a failure of the brokers, not of the messages
