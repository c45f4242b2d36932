"""Answer who the caller is, from our own row, asking Clerk when the webhook has not arrived yet."""

from attrs import frozen

from application.errors import UserBannedError, UserDeletedError
from application.just_in_time import JustInTimeSync
from application.ports import UserReader
from domain.user import Tombstone, User, UserId


@frozen
class GetCurrentUser:
    users: UserReader
    just_in_time: JustInTimeSync

    async def __call__(self, user_id: UserId) -> User:
        """Return the living, unbanned user.

        Raises:
            UserUnknownError, UserDeletedError, UserBannedError: the verdict on this user.
            StoreUnavailableError, IdentityProviderUnavailableError, UnstorableError: there is no verdict.
        """
        user = await self.users.get(user_id) or await self.just_in_time(user_id)
        if isinstance(user, Tombstone):
            raise UserDeletedError
        if user.profile.banned:
            raise UserBannedError
        return user
