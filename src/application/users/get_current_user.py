"""Return the user who calls."""

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

        Errors about the user precede those about the session: a banned user need not sign in again. Clerk is not asked
        because of a session that ended.

        Raises:
            UserUnknownError, UserDeletedError, UserBannedError, SessionRevokedError: the caller is refused.
            VersionNotReachedError: the primary has an older version than `min_version`.
            StoreUnavailableError, ClerkUnavailableError, UnstorableError: it cannot be decided.
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
