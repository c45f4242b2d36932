"""Update users that Clerk listed, and find those that Clerk no longer has."""

import asyncio
from collections.abc import Collection, Sequence
from functools import partial
from typing import assert_never

from attrs import define, field

from application.errors import ClerkLimitedError, ClerkUnavailableError, UnstorableError
from application.reconcile.drift import Difference, Drift, drift_of, lags
from application.reconcile.options import Run
from application.reconcile.retry import together
from application.users.ports import ClerkUsers, Listed, Unreadable, UserDirectory
from application.users.sync_user import SyncUser
from domain.events import UserCreated, UserDeleted, UserUpdated
from domain.snapshot import Snapshot, changed_fields
from domain.user import Known, User, UserId

LOOK_UPS = 8  # users that are requested from Clerk one by one, at the same time
TRIES = 3  # how often a user is requested while Clerk has no usable answer about this user but answers other requests


@define(eq=False, kw_only=True)
class RepairUsers:
    """Compares and repairs one page at a time."""

    identities: ClerkUsers
    users: UserDirectory
    sync_user: SyncUser
    run: Run
    _look_ups: asyncio.Semaphore = field(factory=lambda: asyncio.Semaphore(LOOK_UPS), init=False)

    async def __call__(self, listed: Sequence[Listed]) -> None:
        """Repair and count the users that Clerk listed; raises the failure that lasted longer than the retries."""
        snapshots = [user for user in listed if isinstance(user, Snapshot)]
        ours = await self.run.retry(partial(self.users.get_many, [user.id for user in snapshots]))
        doubtful: list[UserId] = []
        behind: list[Snapshot] = []
        moved = 0
        for user in listed:
            if not isinstance(user, Snapshot):
                self.run.report(Difference(user_id=user.id, drift=Drift.UNREADABLE, detail=user.reason))
                continue
            known = ours.get(user.id)
            match drift_of(user, known):
                case Drift.MISSING | Drift.STALE as drift if self.run.options.dry_run:
                    self._report_unrepaired(user, known, drift)
                case Drift.MISSING | Drift.STALE:
                    behind.append(user)
                case Drift.DELETED_HERE | Drift.NEWER_HERE:
                    doubtful.append(user.id)
                case _ if lags(user, known):
                    moved += 1
                    behind.append(user)
        if not self.run.options.dry_run:
            await together(self._bring_up(snapshot) for snapshot in behind)
        await self.look_up(doubtful)
        self.run.progress.moved += moved
        self.run.progress.listed += len(listed)

    async def look_up(self, ids: Collection[UserId]) -> list[UserId]:
        """Ask Clerk for each of these one by one, repair those that it has, and return those that it does not have.

        The answer is newer than any list, so it also decides about users that a webhook changed or deleted meanwhile.
        """
        if not ids:
            return []
        ours = await self.run.retry(partial(self.users.get_many, ids))
        gone = await together(self._look_up(user_id, known) for user_id, known in ours.items())
        return [user_id for user_id in gone if user_id]

    async def _look_up(self, user_id: UserId, known: Known) -> UserId | None:
        async with self._look_ups:
            snapshot = await self.ask(user_id)
        if snapshot is None:
            return user_id if isinstance(known, User) else None
        if not isinstance(snapshot, Snapshot):
            self.run.report(Difference(user_id=user_id, drift=Drift.UNREADABLE, detail=snapshot.reason))
            return None
        match drift_of(snapshot, known):
            case None:
                pass
            case Drift.STALE if not self.run.options.dry_run:
                await self._bring_up(snapshot)
            case drift:
                self._report_unrepaired(snapshot, known, drift)
        return None

    async def ask(self, user_id: UserId) -> Listed | None:
        """Read one user, None if Clerk has none; waits during an outage; `Unreadable` concerns this user alone."""
        tries = 0

        async def attempt() -> Listed | None:
            nonlocal tries
            try:
                return await self.identities.get(user_id)
            except ClerkLimitedError:
                raise
            except ClerkUnavailableError as error:
                await self.identities.count()
                tries += 1
                if tries < TRIES:
                    raise
                return Unreadable(id=user_id, created_at=None, reason=str(error))

        return await self.run.retry(attempt)

    def _report_unrepaired(self, snapshot: Snapshot, known: Known, drift: Drift) -> None:
        fields = changed_fields(known.profile, snapshot.profile) if isinstance(known, User) else ()
        self.run.report(Difference(user_id=snapshot.id, drift=drift, detail=", ".join(fields)))

    async def _bring_up(self, snapshot: Snapshot) -> None:
        try:
            decision = await self.run.retry(partial(self.sync_user, snapshot))
        except UnstorableError as error:
            self.run.report(Difference(user_id=snapshot.id, drift=Drift.UNSTORABLE, detail=str(error)))
            return
        # No event: a webhook was faster, or only the source version changed.
        for event in decision.events:
            match event:
                case UserCreated():
                    self.run.report(Difference(user_id=snapshot.id, drift=Drift.MISSING, repaired=True))
                case UserUpdated():
                    fields = ", ".join(event.changed)
                    self.run.report(Difference(user_id=snapshot.id, drift=Drift.STALE, repaired=True, detail=fields))
                case UserDeleted():
                    raise AssertionError  # a snapshot deletes nobody
                case _:
                    assert_never(event)
