"""Answer who the caller is."""

from attrs import frozen

from application.errors import UserBannedError
from application.users.get_user import GetUser
from domain.user import User, UserId


@frozen
class GetCurrentUser:
    get_user: GetUser

    async def __call__(self, user_id: UserId) -> User:
        """Return the living, unbanned user.

        Raises:
            UserUnknownError, UserDeletedError, UserBannedError: the verdict on this user.
            StoreUnavailableError, ClerkUnavailableError, UnstorableError: there is no verdict.
        """
        user = await self.get_user(user_id)
        if user.profile.banned:
            raise UserBannedError
        return user
