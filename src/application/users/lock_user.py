"""Lock a user out for the time that the Clerk instance is set to, or end that."""

from functools import partial

from attrs import frozen

from application.users.act_at_clerk import ActAtClerk
from application.users.ports import ClerkUsers
from domain.decision import Decision
from domain.user import UserId


@frozen
class LockUser:
    identities: ClerkUsers
    act_at_clerk: ActAtClerk

    async def __call__(self, user_id: UserId) -> Decision:
        """Let no session of the user begin for a while. Returns and raises as `ActAtClerk`."""
        return await self.act_at_clerk(user_id, partial(self.identities.set_locked, locked=True))


@frozen
class UnlockUser:
    identities: ClerkUsers
    act_at_clerk: ActAtClerk

    async def __call__(self, user_id: UserId) -> Decision:
        """Let the user sign in again. Returns and raises as `ActAtClerk`."""
        return await self.act_at_clerk(user_id, partial(self.identities.set_locked, locked=False))
