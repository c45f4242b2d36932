"""What all actions have in common: Clerk carries them out, and its answer is taken in like any other news."""

from collections.abc import Awaitable, Callable

from attrs import frozen

from application.errors import UserDeletedError
from application.users.ports import UserReader
from application.users.sync_user import SyncUser
from domain.decision import Decision
from domain.snapshot import Snapshot
from domain.user import Tombstone, UserId


@frozen
class ActAtClerk:
    """Act, then sync what Clerk has now: the caller reads its own write, and the webhook that follows is old news."""

    users: UserReader
    sync_user: SyncUser

    async def __call__(self, user_id: UserId, act: Callable[[UserId], Awaitable[Snapshot]]) -> Decision:
        """Return what came of the sync; `user` is the living user with the action in it.

        Raises:
            UserUnknownError: Clerk has no such user. Ours stays as it is: an action is no reason to delete anybody.
            UserDeletedError: we know that the user was deleted; Clerk is not asked.
            ClerkUnavailableError, ClerkRefusedError, ClerkNotConfiguredError: as
                `ClerkUsers`.
            StoreUnavailableError, UnstorableError: it was done at Clerk, and our row will follow with the webhook.
        """
        await self.require_not_deleted(user_id)
        decision = await self.sync_user(await act(user_id))
        if isinstance(decision.user, Tombstone):
            raise UserDeletedError  # meanwhile
        return decision

    async def require_not_deleted(self, user_id: UserId) -> None:
        if isinstance(await self.users.get(user_id), Tombstone):
            raise UserDeletedError
