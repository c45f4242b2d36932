"""Actions on users: Clerk carries them out, and its answer is applied like a webhook."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

from attrs import evolve, frozen

from application.errors import ClerkUnavailableError, UserDeletedError, UserUnknownError
from application.reconcile.our_instance import require_our_instance
from application.sessions.revoke_session import RevokeSession
from application.users.delete_user import DeleteUser
from application.users.ports import ClerkUsers, UserDirectory, UserReader
from application.users.sync_user import SyncUser
from domain.decision import Decision, Outcome
from domain.session import RevokedSession, SessionId
from domain.snapshot import Deletion, Snapshot
from domain.user import Tombstone, User, UserId

LISTING_S = 2.0  # how long a ban waits for the list of the user's sessions, which must not delay it further


@frozen(kw_only=True)
class ManageUsers:
    """Act at Clerk, then sync Clerk's current state: the caller reads its own write, whenever the webhook arrives.

    `ban`, `unban`, `lock`, `unlock` and `set_public_metadata` return the result of the sync; `user` is the living user
    after the action. They raise:
        UserUnknownError: Clerk has no such user. The row is left as it is: an action never deletes a user.
        UserDeletedError: the row is a tombstone; Clerk is not asked.
        ClerkUnavailableError, ClerkRefusedError, ClerkNotConfiguredError: as `ClerkUsers`.
        StoreUnavailableError, UnstorableError: it was done at Clerk, and our row will follow with the webhook.
    """

    users: UserReader
    directory: UserDirectory
    identities: ClerkUsers
    sync_user: SyncUser
    delete_user: DeleteUser
    revoke_session: RevokeSession
    now_ms: Callable[[], int]  # the wall clock

    async def ban(self, user_id: UserId) -> Decision:
        """End every session of the user, and prevent new ones.

        The sessions that Clerk lists are recorded as revoked. If it does not list them in time, the ban is done
        nevertheless: the user's row refuses every session, and Clerk's webhooks name them.
        """
        await self._require_not_deleted(user_id)
        sessions: Collection[SessionId] = ()
        with suppress(ClerkUnavailableError, TimeoutError):
            async with asyncio.timeout(LISTING_S):
                sessions = await self.identities.active_sessions(user_id)
        snapshot = await self.identities.set_banned(user_id, banned=True)
        try:
            return await self._applied(snapshot)
        finally:
            await self._record(user_id, sessions)

    async def unban(self, user_id: UserId) -> Decision:
        """Let the user sign in again."""
        return await self._act(user_id, partial(self.identities.set_banned, banned=False))

    async def lock(self, user_id: UserId) -> Decision:
        """Prevent sign-ins of the user, for the time that the Clerk instance is set to."""
        return await self._act(user_id, partial(self.identities.set_locked, locked=True))

    async def unlock(self, user_id: UserId) -> Decision:
        """Let the user sign in again before the lock ends."""
        return await self._act(user_id, partial(self.identities.set_locked, locked=False))

    async def set_public_metadata(self, user_id: UserId, patch: Mapping[str, Any]) -> Decision:
        """Merge `patch` in, deeply; a key set to null is removed (Clerk, PATCH …/metadata)."""
        return await self._act(user_id, partial(self.identities.merge_public_metadata, patch=patch))

    async def revoke_sessions(self, user_id: UserId) -> int:
        """End every active session, record each as revoked, and return how many.

        Raises:
            UserUnknownError, UserDeletedError: as `ban`; no session was ended.
            ClerkUnavailableError, ClerkRefusedError, ClerkNotConfiguredError: what was ended before is recorded.
            StoreUnavailableError: before anything is ended; or not all are recorded; Clerk's webhooks record the rest.
        """
        await self._require_not_deleted(user_id)
        ended: list[SessionId] = []
        try:
            await self.identities.revoke_sessions(user_id, ended.append)
        finally:
            await self._record(user_id, ended)
        return len(ended)

    async def delete(self, user_id: UserId) -> Decision:
        """Delete the user at Clerk, and here; a user who exists only here is deleted too.

        Returns `deleted`, or `unchanged` when the user had been deleted before.

        Raises:
            UserUnknownError: there is no such user, at Clerk or here.
            ClerkUnavailableError, ClerkRefusedError, ClerkNotConfiguredError: as `ClerkUsers`; nothing changed here.
            StoreUnavailableError: it was done at Clerk, and our row will follow with the webhook.
        """
        try:
            deletion = await self.identities.delete(user_id)
        except UserUnknownError:
            if await self.users.get(user_id) is None:
                raise
            return await self.delete_user(self._deletion(user_id))
        # Clerk's webhook about this deletion may have been faster.
        return evolve(await self.delete_user(deletion), outcome=Outcome.DELETED)

    async def sync(self, user_id: UserId) -> Decision:
        """Make the row equal to Clerk's user, after missed webhooks; returns any outcome but `ignored`.

        A user whom Clerk does not have is deleted here, if the users in the table are of this Clerk instance.

        Raises:
            UserUnknownError: neither Clerk nor we have such a user.
            SafetyStopError: Clerk knows none of our users; no user was deleted.
            ClerkUnavailableError, ClerkNotConfiguredError: as `ClerkUsers`.
            StoreUnavailableError, UnstorableError: it could not be applied.
        """
        snapshot = await self.identities.get(user_id)
        if snapshot is not None:
            return await self.sync_user(snapshot)
        known = await self.users.get(user_id)
        if known is None:
            raise UserUnknownError
        if isinstance(known, User):
            await require_our_instance(self.directory, self.identities, absent=user_id)
        return await self.delete_user(self._deletion(user_id))

    async def _act(self, user_id: UserId, act: Callable[[UserId], Awaitable[Snapshot]]) -> Decision:
        await self._require_not_deleted(user_id)
        return await self._applied(await act(user_id))

    async def _applied(self, snapshot: Snapshot) -> Decision:
        decision = await self.sync_user(snapshot)
        if isinstance(decision.user, Tombstone):
            raise UserDeletedError  # meanwhile
        return decision

    async def _record(self, user_id: UserId, ended: Collection[SessionId]) -> None:
        at = self.now_ms()
        await self.revoke_session.each(RevokedSession(id=each, user_id=user_id, revoked_at=at) for each in ended)

    async def _require_not_deleted(self, user_id: UserId) -> None:
        if isinstance(await self.users.get(user_id), Tombstone):
            raise UserDeletedError

    def _deletion(self, user_id: UserId) -> Deletion:
        return Deletion(id=user_id, deleted_at=self.now_ms())
