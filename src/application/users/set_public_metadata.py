"""Change the public metadata of a user."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from attrs import frozen

from application.users.act_at_clerk import ActAtClerk
from application.users.ports import ClerkUsers
from domain.decision import Decision
from domain.user import UserId


@frozen
class SetPublicMetadata:
    identities: ClerkUsers
    act_at_clerk: ActAtClerk

    async def __call__(self, user_id: UserId, patch: Mapping[str, Any]) -> Decision:
        """Merge `patch` in, deeply; a key set to null goes (Clerk, PATCH …/metadata).

        Returns and raises as `ActAtClerk`.
        """
        return await self.act_at_clerk(user_id, partial(self.identities.merge_public_metadata, patch=patch))
