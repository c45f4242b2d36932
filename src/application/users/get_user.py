"""Look up any user, asking Clerk when the webhook has not arrived yet."""

from attrs import frozen

from application.errors import UserDeletedError
from application.users.just_in_time import JustInTimeSync
from application.users.ports import UserReader
from domain.user import Tombstone, User, UserId


@frozen
class GetUser:
    users: UserReader
    just_in_time: JustInTimeSync

    async def __call__(self, user_id: UserId) -> User:
        """Return the living user.

        Raises:
            UserUnknownError, UserDeletedError: there is none.
            StoreUnavailableError, ClerkUnavailableError, UnstorableError: it could not be found out.
        """
        user = await self.users.get(user_id) or await self.just_in_time(user_id)
        if isinstance(user, Tombstone):
            raise UserDeletedError
        return user
