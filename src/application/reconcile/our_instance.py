"""Whether CLERK_SECRET_KEY is of the instance whose users we hold: before any user is deleted."""

from application.errors import SafetyStopError
from application.users.ports import ClerkUsers, UserDirectory
from domain.user import UserId


async def require_our_instance(ours: UserDirectory, identities: ClerkUsers, *, absent: UserId | None = None) -> None:
    """Raise SafetyStopError unless Clerk knows one of our users beside `absent`, which may be the only one we have.

    A tombstone is permanent, and with the key of another instance every user would seem to be deleted.
    """
    others = [user_id for user_id in await ours.sample() if user_id != absent]
    for user_id in others:
        if await identities.get(user_id) is not None:
            return
    if others or absent is None:
        raise SafetyStopError("Clerk knows none of our users: CLERK_SECRET_KEY seems to be of another instance")
