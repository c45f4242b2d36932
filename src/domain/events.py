"""The events that are published, in the past tense."""

from attrs import frozen

from domain.session import RevokedSession
from domain.user import Tombstone, User


@frozen
class UserCreated:
    user: User


@frozen
class UserUpdated:
    user: User
    changed: tuple[str, ...]  # names of the profile fields that differ from the version before


@frozen
class UserDeleted:
    user: Tombstone


@frozen
class SessionRevoked:
    session: RevokedSession


UserEvent = UserCreated | UserUpdated | UserDeleted
Event = UserEvent | SessionRevoked


def occurred_at(event: Event) -> int:
    """When the change happened at Clerk, in milliseconds."""
    if isinstance(event, SessionRevoked):
        return event.session.revoked_at
    user = event.user
    return user.deleted_at if isinstance(user, Tombstone) else user.updated_at
