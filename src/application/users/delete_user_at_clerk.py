"""Delete a user at Clerk, and here."""

from collections.abc import Callable

from attrs import frozen

from application.errors import UserUnknownError
from application.users.delete_user import DeleteUser
from application.users.ports import ClerkUsers, UserReader
from domain.decision import Decision
from domain.snapshot import Deletion
from domain.user import UserId


@frozen
class DeleteUserAtClerk:
    """Deletion is what the caller wants, so a user whom only we still have goes as well.

    Args:
        now_ms: the clock, milliseconds since 1970.
    """

    users: UserReader
    identities: ClerkUsers
    delete_user: DeleteUser
    now_ms: Callable[[], int]

    async def __call__(self, user_id: UserId) -> Decision:
        """Return `deleted`, or `unchanged` when the user had been deleted before.

        Raises:
            UserUnknownError: neither Clerk nor we have such a user.
            ClerkUnavailableError, ClerkRefusedError, ClerkNotConfiguredError: as
                `ClerkUsers`; nothing changed here.
            StoreUnavailableError: it was done at Clerk, and our row will follow with the webhook.
        """
        try:
            deletion = await self.identities.delete(user_id)
        except UserUnknownError:
            if await self.users.get(user_id) is None:
                raise
            deletion = Deletion(id=user_id, deleted_at=self.now_ms())
        return await self.delete_user(deletion)
