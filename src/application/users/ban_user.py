"""Ban a user, or let a banned one in again."""

from functools import partial

from attrs import frozen

from application.users.act_at_clerk import ActAtClerk
from application.users.ports import ClerkUsers
from domain.decision import Decision
from domain.user import UserId


@frozen
class BanUser:
    identities: ClerkUsers
    act_at_clerk: ActAtClerk

    async def __call__(self, user_id: UserId) -> Decision:
        """End every session of the user, and let no new one begin. Returns and raises as `ActAtClerk`."""
        return await self.act_at_clerk(user_id, partial(self.identities.set_banned, banned=True))


@frozen
class UnbanUser:
    identities: ClerkUsers
    act_at_clerk: ActAtClerk

    async def __call__(self, user_id: UserId) -> Decision:
        """Let the user sign in again. Returns and raises as `ActAtClerk`."""
        return await self.act_at_clerk(user_id, partial(self.identities.set_banned, banned=False))
