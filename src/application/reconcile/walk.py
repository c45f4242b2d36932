"""The pages of one run, from the first to the deletion of those who are gone."""

from collections.abc import Sequence
from contextlib import aclosing
from functools import partial

from attrs import frozen

from application.reconcile.checkpoint import UnfinishedRun
from application.reconcile.drift import objection_to_list, stop_at
from application.reconcile.gone import GoneUsers
from application.reconcile.listing import PageSizes, UserCursor, by_change, by_creation
from application.reconcile.options import ReconcileObserver, ReconcileOptions, ReconcileProgress
from application.reconcile.repair import RepairUsers
from application.reconcile.retry import Retry
from application.users.ports import ClerkUsers, Listed
from domain.user import UserId


@frozen(kw_only=True)
class Walk:
    options: ReconcileOptions
    progress: ReconcileProgress
    observer: ReconcileObserver
    identities: ClerkUsers
    repair: RepairUsers
    gone: GoneUsers
    retry: Retry
    unfinished: UnfinishedRun
    sizes: PageSizes

    async def one(self, user_id: UserId) -> None:
        self.observer.began(self.progress)
        if user := await self.repair.ask(user_id):
            await self._repair([user])
        else:
            await self.gone.look_up([user_id])
        await self._delete()

    async def changed_since(self, since: int) -> None:
        self.observer.began(self.progress)
        async with aclosing(by_change(self._read_changed, since=since, sizes=self.sizes)) as pages:
            async for users in pages:
                await self._repair(users)
                self.observer.progressed(self.progress)

    async def all(self) -> None:
        progress, run = self.progress, self.unfinished
        cursor = await run.resume(restart=self.options.restart)
        self.observer.began(progress)
        began_at = progress.began_at
        pages = by_creation(self._read_created, cursor, sizes=self.sizes, began_at=began_at)
        async with run.saved_at_the_end(), aclosing(pages):
            async for page in pages:
                await self._repair(page.users)
                if page.next is None:
                    at_clerk, allowance = progress.at_clerk, self.options.allowance
                    stop_at(objection_to_list(listed=progress.listed, at_clerk=at_clerk, allowance=allowance))
                if page.complete:
                    await self.gone.compare(page.complete, began_at=began_at)
                await run.reached(page)
                self.observer.progressed(progress)
        await self._delete()
        await run.finish()

    async def _repair(self, users: Sequence[Listed]) -> None:
        self.progress.moved += await self.repair(users)
        self.progress.listed += len(users)

    async def _delete(self) -> None:
        gone = self.gone.ids
        if self.options.dry_run or (gone and not await self.observer.may_delete(gone)):
            self.gone.report_all()
        else:
            await self.gone.delete()

    async def _read_changed(self, offset: int) -> Sequence[Listed]:
        ask = partial(self.identities.recently_updated, offset=offset, limit=self.sizes.clerk)
        return await self.retry(ask)

    async def _read_created(self, cursor: UserCursor) -> Sequence[Listed]:
        ask = partial(
            self.identities.page,
            created_from=cursor.created_from,
            offset=cursor.offset,
            limit=self.sizes.clerk,
        )
        return await self.retry(ask)
