"""Users whom Clerk no longer has: found in the table, looked up one by one, and deleted within a limit."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from attrs import define, field

from application.errors import SafetyStopError
from application.reconcile.drift import Difference, Drift
from application.reconcile.listing import Complete
from application.reconcile.options import Run
from application.reconcile.repair import RepairUsers
from application.reconcile.retry import together
from application.users.delete_user import DeleteUser
from application.users.ports import CreationKey, UserDirectory
from domain.decision import Outcome
from domain.snapshot import Deletion
from domain.user import UserId


@define(eq=False, kw_only=True)
class GoneUsers:
    """Collects them page by page."""

    users: UserDirectory
    living: int  # how many users the table had at the beginning
    repair: RepairUsers
    delete_user: DeleteUser
    now_ms: Callable[[], int]
    run: Run
    ids: list[UserId] = field(factory=list, init=False)
    _unlisted: int = field(default=0, init=False)  # users whom Clerk has but did not list

    async def compare(self, complete: Complete) -> None:
        """Look up our users who are missing in a complete part of Clerk's list; raises as `look_up`.

        Users created since the run began are left out: a list, and even a single answer of Clerk's, may be slightly
        older than a webhook.
        """
        began_at = self.run.progress.began_at
        before = min(began_at, complete.created_before or began_at)
        after = CreationKey(complete.created_from, UserId(""))
        while keys := await self.run.retry(partial(self.users.created, after, before, self.run.sizes.ours)):
            after = keys[-1]
            await self.look_up([key.user_id for key in keys if key.user_id not in complete.ids])

    async def look_up(self, suspects: Sequence[UserId]) -> None:
        """Ask Clerk for each of these users, or raise SafetyStopError: too many would be deleted."""
        allowance = self.run.options.allowance
        for some in self._batches(suspects):
            gone = await self.repair.look_up(some)
            self.ids += gone
            self._unlisted += len(some) - len(gone)
            try:
                allowance.require_few(gone=len(self.ids), unlisted=self._unlisted, living=self.living)
            except SafetyStopError:
                self.report_all()
                raise

    def report_all(self) -> None:
        """Report them without deleting any."""
        for user_id in self.ids:
            self.run.report(Difference(user_id=user_id, drift=Drift.GONE))

    async def delete(self) -> None:
        """Delete the users that were found, if that is allowed."""
        run = self.run
        if run.options.dry_run or (self.ids and not await run.observer.may_delete(self.ids)):
            self.report_all()
            return
        for some in self._batches(self.ids):
            await together(self._delete(user_id) for user_id in some)

    async def _delete(self, user_id: UserId) -> None:
        decision = await self.run.retry(partial(self.delete_user, Deletion(id=user_id, deleted_at=self.now_ms())))
        if decision.outcome is Outcome.DELETED:
            self.run.report(Difference(user_id=user_id, drift=Drift.GONE, repaired=True))

    def _batches(self, ids: Sequence[UserId]) -> Iterator[Sequence[UserId]]:
        size = self.run.sizes.clerk
        return (ids[start : start + size] for start in range(0, len(ids), size))
