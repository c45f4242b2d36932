"""What a use case decided about one user."""

from enum import StrEnum

from attrs import frozen

from domain.events import UserEvent
from domain.user import Tombstone, User


class Outcome(StrEnum):
    """The outcome of a change; every outcome is a success for the sender of the webhook."""

    CREATED = "created"
    UPDATED = "updated"
    DELETED = "deleted"
    REVOKED = "revoked"
    UNCHANGED = "unchanged"
    STALE = "stale"
    IGNORED = "ignored"


@frozen(kw_only=True)
class Decision:
    """The state afterwards, and the events to publish."""

    outcome: Outcome
    user: User | Tombstone  # the object that was passed in when there is nothing to store
    events: tuple[UserEvent, ...] = ()
