"""Make one user equal to Clerk's, whatever became of the webhooks."""

from collections.abc import Callable

from attrs import frozen

from application.errors import SafetyStopError, UserUnknownError
from application.reconcile.drift import LivingUsers
from application.users.delete_user import DeleteUser
from application.users.ports import ClerkUsers, UserReader
from application.users.sync_user import SyncUser
from domain.decision import Decision
from domain.snapshot import Deletion
from domain.user import Known, User, UserId


@frozen(kw_only=True)
class SyncUserFromClerk:
    """Clerk's word that there is no such user deletes ours, when it is the Clerk instance that our users are from.

    Args:
        now_ms: the clock, milliseconds since 1970.
    """

    users: UserReader
    living: LivingUsers
    identities: ClerkUsers
    sync_user: SyncUser
    delete_user: DeleteUser
    now_ms: Callable[[], int]

    async def __call__(self, user_id: UserId) -> Decision:
        """Return what came of it: any outcome but `ignored`.

        Raises:
            UserUnknownError: neither Clerk nor we have such a user.
            SafetyStopError: Clerk knows none of our users; nobody was deleted.
            ClerkUnavailableError, ClerkNotConfiguredError: as `ClerkUsers`.
            StoreUnavailableError, UnstorableError: it could not be applied.
        """
        snapshot = await self.identities.get(user_id)
        if snapshot is not None:
            return await self.sync_user(snapshot)
        known: Known = await self.users.get(user_id)
        if known is None:
            raise UserUnknownError
        if isinstance(known, User):
            await self._require_our_instance(user_id)
        return await self.delete_user(Deletion(id=user_id, deleted_at=self.now_ms()))

    async def _require_our_instance(self, absent: UserId) -> None:
        """A tombstone is for ever, and with the key of another instance everybody would seem to be gone."""
        others = [user_id for user_id in await self.living.sample() if user_id != absent]
        for user_id in others:
            if await self.identities.get(user_id) is not None:
                return
        if others:
            raise SafetyStopError("Clerk knows none of our users: CLERK_SECRET_KEY seems to be of another instance")
