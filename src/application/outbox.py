"""An event on its way to Kafka: its bytes are fixed when it is stored, so every retry sends the same."""

from collections.abc import Callable
from uuid import UUID

from attrs import field, frozen

from domain.events import UserEvent
from domain.user import UserId


@frozen(kw_only=True)
class OutboxMessage:
    """One event of one user, as stored beside the row and as published."""

    key: UserId
    version: int
    event_id: UUID
    type: str
    """The CloudEvents type, such as `anomalyze.user.updated.v1`."""
    occurred_at: int
    """When it changed at Clerk, ms."""
    payload: bytes = field(repr=False)
    """The JSON value, byte for byte as consumers get it."""
    traceparent: str | None = None
    """W3C Trace Context of the request that caused it."""


Encode = Callable[[UserEvent], OutboxMessage]
"""Turn an event into its published form; the same event always gives the same message."""
