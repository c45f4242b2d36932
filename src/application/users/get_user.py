"""Look up any user, at Clerk too if the webhook has not arrived yet."""

from attrs import frozen

from application.errors import UserDeletedError
from application.users.just_in_time import JustInTimeSync
from application.users.ports import UserReader
from application.users.replica import ReplicaReads, require_version
from domain.user import Tombstone, User, UserId


@frozen
class GetUser:
    users: UserReader
    just_in_time: JustInTimeSync
    replica: ReplicaReads | None = None  # asked first

    async def __call__(self, user_id: UserId, *, min_version: int = 0) -> User:
        """Return the living user.

        Raises:
            UserUnknownError, UserDeletedError: there is none.
            VersionNotReachedError: the primary has an older version than `min_version`.
            StoreUnavailableError, ClerkUnavailableError, UnstorableError: it cannot be decided.
        """
        found = await self.replica.get(user_id, min_version) if self.replica else None
        user = found or await self.users.get(user_id) or await self.just_in_time(user_id)
        if isinstance(user, Tombstone):
            raise UserDeletedError
        return require_version(user, min_version)
