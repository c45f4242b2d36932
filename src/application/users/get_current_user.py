"""Answer who the caller is."""

from attrs import frozen

from application.errors import SessionRevokedError, UserBannedError, UserDeletedError
from application.users.just_in_time import JustInTimeSync
from application.users.ports import UserReader
from application.users.replica import ReplicaReads, require_version
from domain.session import SessionId
from domain.user import Tombstone, User, UserId


@frozen
class GetCurrentUser:
    users: UserReader
    just_in_time: JustInTimeSync
    replica: ReplicaReads | None = None  # asked first

    async def __call__(
        self, user_id: UserId, session_id: SessionId, *, min_version: int = 0, seen_version: int = 0
    ) -> User:
        """Return the living, unbanned user of a session that has not ended.

        Nothing older than `min_version` is returned, and nothing older than `seen_version` unless the primary has
        nothing newer.

        What is said of the user comes before what is said of the session: who is banned need not sign in again.
        Clerk is not asked for the sake of a session that ended.

        Raises:
            UserUnknownError, UserDeletedError, UserBannedError, SessionRevokedError: the verdict on this caller.
            VersionNotReachedError: the primary has an older version than `min_version`.
            StoreUnavailableError, ClerkUnavailableError, UnstorableError: there is no verdict.
        """
        at_least = max(min_version, seen_version)
        found = await self.replica.signed_in(user_id, session_id, at_least) if self.replica else None
        if found is None:
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
        return require_version(user, min_version)
