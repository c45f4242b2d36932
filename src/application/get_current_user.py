"""Answer who the caller is, from our own row, asking Clerk when the webhook has not arrived yet."""

from attrs import frozen

from application.errors import UserBannedError, UserDeletedError, UserUnknownError
from application.ports import IdentityProvider, UserReader
from application.sync_user import SyncUser
from domain.user import Known, Tombstone, User, UserId


@frozen
class GetCurrentUser:
    users: UserReader
    identities: IdentityProvider
    sync_user: SyncUser

    async def __call__(self, user_id: UserId) -> User:
        """Return the living, unbanned user.

        Raises:
            UserUnknownError, UserDeletedError, UserBannedError: the verdict on this user.
            StoreUnavailableError, IdentityProviderUnavailableError: there is no verdict.
        """
        user = await self.users.get(user_id)
        if user is None:
            user = await self._ask_clerk(user_id)
        if isinstance(user, Tombstone):
            raise UserDeletedError
        if user.profile.banned:
            raise UserBannedError
        return user

    async def _ask_clerk(self, user_id: UserId) -> User | Tombstone:
        snapshot = await self.identities.get(user_id)
        if snapshot is None:
            raise UserUnknownError
        known: Known = (await self.sync_user(snapshot)).user
        assert known is not None  # noqa: S101  # a snapshot always leaves a user or meets a tombstone
        return known
