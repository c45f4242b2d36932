"""Answer who the caller is."""

from attrs import frozen

from application.errors import SessionRevokedError, UserBannedError, UserDeletedError
from application.users.just_in_time import JustInTimeSync
from application.users.ports import UserReader
from domain.session import SessionId
from domain.user import Tombstone, User, UserId


@frozen
class GetCurrentUser:
    users: UserReader
    just_in_time: JustInTimeSync

    async def __call__(self, user_id: UserId, session_id: SessionId) -> User:
        """Return the living, unbanned user of a session that has not ended.

        What is said of the user comes before what is said of the session: who is banned need not sign in again.
        Clerk is not asked for the sake of a session that ended.

        Raises:
            UserUnknownError, UserDeletedError, UserBannedError, SessionRevokedError: the verdict on this caller.
            StoreUnavailableError, ClerkUnavailableError, UnstorableError: there is no verdict.
        """
        found = await self.users.signed_in(user_id, session_id)
        if found.user is None and found.revoked:
            raise SessionRevokedError
        user = found.user or await self.just_in_time(user_id)
        if isinstance(user, Tombstone):
            raise UserDeletedError
        if user.profile.banned:
            raise UserBannedError
        if found.revoked:
            raise SessionRevokedError
        return user
