"""What a use case decided about one user."""

from enum import StrEnum

from attrs import frozen

from domain.events import UserEvent
from domain.user import Tombstone, User


class Outcome(StrEnum):
    """What came of a piece of news; every one of them is a success for its sender."""

    CREATED = "created"
    UPDATED = "updated"
    DELETED = "deleted"
    REVOKED = "revoked"
    UNCHANGED = "unchanged"
    STALE = "stale"
    IGNORED = "ignored"


@frozen(kw_only=True)
class Decision:
    """The state afterwards and what to tell others.

    `user` is never nothing: every piece of news leaves a user or a tombstone. It is the very object that was decided on
    when there is nothing to store.
    """

    outcome: Outcome
    user: User | Tombstone
    events: tuple[UserEvent, ...] = ()
