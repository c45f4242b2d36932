"""Sign a user out everywhere."""

from attrs import frozen

from application.users.act_at_clerk import ActAtClerk
from application.users.ports import ClerkUsers
from domain.user import UserId


@frozen
class RevokeSessions:
    identities: ClerkUsers
    act_at_clerk: ActAtClerk

    async def __call__(self, user_id: UserId) -> int:
        """End every active session, and return how many; a token lives on for what is left of its minute.

        Raises:
            UserUnknownError, UserDeletedError, ClerkUnavailableError, ClerkRefusedError,
            ClerkNotConfiguredError, StoreUnavailableError: as `ActAtClerk`.
        """
        await self.act_at_clerk.require_not_deleted(user_id)
        return await self.identities.revoke_sessions(user_id)
