"""An event on its way to Kafka: its bytes are fixed when it is stored, so every retry sends the same."""

from collections.abc import Callable, Collection, Sequence
from typing import Protocol
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
    """`anomalyze.user.updated.v1` is `updated`, and so for sessions; a type of another family stays whole."""
    parts = event_type.split(".")
    ours = event_type.startswith(("anomalyze.user.", "anomalyze.session."))
    return parts[2] if ours and len(parts) == 4 else event_type  # noqa: PLR2004


Encode = Callable[[Event, str | None], OutboxMessage]
"""Turn an event, and the trace context that caused it, into its published form; the same always gives the same."""


@frozen(kw_only=True)
class Pending:
    """A stored message that is not known to be published."""

    id: int  # the same at every read, and no other message's; says nothing of order, which is the version's alone
    lane: int
    stored_at: float  # seconds since 1970, by the database's clock
    message: OutboxMessage


@frozen
class RefusedMessage:
    """A message that the broker will never take, however often it is sent."""

    pending: Pending
    error: str
    attempts: int


class Outbox(Protocol):
    """The stored messages, as a relay sees them. All methods raise StoreUnavailableError when there is no database."""

    async def oldest(self, lanes: Sequence[int], limit: int, *, published: Collection[Pending] = ()) -> list[Pending]:
        """Delete the `published`, and return up to `limit` messages of these lanes, the earlier lanes first.

        Whatever is returned of a key is the lowest versions of it that are stored, in order and without a hole:
        a relay that publishes what it got, in the order it got it, cannot reorder.
        """

    async def delete(self, published: Collection[Pending]) -> None:
        """Forget messages that the broker has acknowledged; those already gone are no error."""

    async def move_to_dead_letters(self, refusals: Collection[RefusedMessage]) -> None:
        """Move refused messages to the dead letters in one step; the error is kept, later versions go on."""


@frozen
class DeliveryResults:
    """What became of one call to `Publisher.publish`; what is in neither list is not known to have arrived."""

    acknowledged: Sequence[Pending] = ()
    refused: Sequence[RefusedMessage] = ()
    outage: Failure | None = None  # why the rest did not arrive: a failure of the brokers, not of the messages


class Publisher(Protocol):
    """Kafka, as a relay sees it."""

    async def publish(self, batch: Sequence[Pending]) -> DeliveryResults:
        """Send the batch, pipelined and in order, and return when each message's fate is known or time is up.

        A failure of the brokers is not raised but returned as `outage`, and the next call starts on a new connection.
        After a message of a key that did not arrive, no later one of that key arrives either, unless it was refused.
        """
