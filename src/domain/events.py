"""The events that are published, in the past tense."""

from attrs import frozen

from domain.user import Tombstone, User


@frozen
class UserCreated:
    user: User


@frozen
class UserUpdated:
    user: User
    changed: tuple[str, ...]
    """Names of the profile fields that differ from the version before."""


@frozen
class UserDeleted:
    user: Tombstone


UserEvent = UserCreated | UserUpdated | UserDeleted


def occurred_at(event: UserEvent) -> int:
    """When the change happened at Clerk, in milliseconds."""
    user = event.user
    return user.deleted_at if isinstance(user, Tombstone) else user.updated_at
