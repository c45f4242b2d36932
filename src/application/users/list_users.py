"""Look up many users at once, in the table."""

from collections.abc import Sequence

from attrs import frozen

from application.users.ports import UserDirectory
from application.users.replica import ReplicaReads, require_version
from domain.user import User, UserId

OF_ONE_EMAIL = 100  # users returned for one email, which is not unique


@frozen
class FoundUsers:
    users: Sequence[User]
    missing: Sequence[UserId] = ()  # requested but not found: unknown, or deleted


@frozen
class ListUsers:
    """Both raise StoreUnavailableError. Clerk is not asked."""

    directory: UserDirectory
    replica: ReplicaReads | None = None  # asked first

    async def by_ids(self, ids: Sequence[UserId], *, min_version: int = 0) -> FoundUsers:
        """Return users in the order of `ids`, as often as named; VersionNotReachedError: one is below `min_version`."""
        wanted = set(ids)
        known = dict(await self.replica.get_many(wanted, min_version)) if self.replica else {}
        if missing := wanted - known.keys():
            known |= await self.directory.get_many(missing)
        living = {
            user_id: require_version(user, min_version) for user_id, user in known.items() if isinstance(user, User)
        }
        return FoundUsers(
            [living[user_id] for user_id in ids if user_id in living],
            [user_id for user_id in dict.fromkeys(ids) if user_id not in living],
        )

    async def by_email(self, email: str) -> FoundUsers:
        """Return every user with this primary email, ignoring case."""
        users = await self.replica.by_email(email, limit=OF_ONE_EMAIL) if self.replica else None
        return FoundUsers(users or await self.directory.by_email(email, limit=OF_ONE_EMAIL))
