"""Make the table equal to Clerk's users: after lost webhooks, and for the first import."""

from collections.abc import Awaitable, Callable
from contextlib import aclosing

from attrs import define, field

from application.reconcile.checkpoint import UnfinishedRun
from application.reconcile.gone import GoneUsers
from application.reconcile.listing import by_change, by_creation
from application.reconcile.options import PageSizes, ReconcileObserver, ReconcileOptions, ReconcileProgress, Run
from application.reconcile.ports import Checkpoints
from application.reconcile.repair import RepairUsers
from application.reconcile.retry import Retry
from application.users.delete_user import DeleteUser
from application.users.ports import ClerkUsers, UserDirectory
from application.users.sync_user import SyncUser
from domain.snapshot import Snapshot


@define(eq=False, kw_only=True)
class Reconcile:
    """Read Clerk's users, compare, repair both ways through the use cases.

    A webhook that arrives meanwhile has a newer source version than what was read: `SyncUser` keeps the newer of the
    two, in either order. Two runs at once do the same work twice, without harm.
    """

    identities: ClerkUsers
    users: UserDirectory
    sync_user: SyncUser
    delete_user: DeleteUser
    checkpoints: Checkpoints
    now_ms: Callable[[], int]  # the wall clock
    clock: Callable[[], float]  # monotonic seconds
    sleep: Callable[[float], Awaitable[None]]
    new_run: Callable[[], str]  # a new name for each run
    sizes: PageSizes = field(factory=PageSizes)

    async def __call__(
        self, options: ReconcileOptions, progress: ReconcileProgress, observer: ReconcileObserver
    ) -> None:
        """Run once; `progress` counts, also if the run is interrupted.

        Raises:
            SafetyStopError: too many users would be deleted; none was.
            ClerkUnavailableError, StoreUnavailableError: a failure that lasted longer than `options.patience_s`; the
                next run continues from the last checkpoint.
            ClerkRefusedError, ClerkKeyRefusedError, ClerkNotConfiguredError: Clerk does not answer at all.
        """
        progress.began_at = self.now_ms()
        retry = Retry(options.patience_s, self.clock, self.sleep, observer.waits)
        run = Run(options, progress, observer, retry, self.sizes)
        repair = RepairUsers(identities=self.identities, users=self.users, sync_user=self.sync_user, run=run)
        gone = GoneUsers(
            users=self.users,
            living=await self._count_living(run, repair),
            repair=repair,
            delete_user=self.delete_user,
            now_ms=self.now_ms,
            run=run,
        )
        if options.user is not None:
            observer.began(progress)
            if user := await repair.ask(options.user):
                await repair([user])
            else:
                await gone.look_up([options.user])
            await gone.delete()
        elif options.since is not None:
            observer.began(progress)
            async with aclosing(by_change(run, self.identities, since=options.since)) as pages:
                async for users in pages:
                    await repair(users)
                    observer.progressed(progress)
        else:
            await self._all(repair, gone, run)

    async def _count_living(self, run: Run, repair: RepairUsers) -> int:
        """Count the living users in the table, or raise SafetyStopError: they seem to be of another Clerk instance."""
        run.progress.at_clerk = at_clerk = await run.retry(self.identities.count)
        living = await run.retry(self.users.count)
        in_common = False
        for user_id in await run.retry(self.users.sample):
            if in_common := isinstance(await repair.ask(user_id), Snapshot):
                break
        run.options.allowance.require_this_instance(living=living, at_clerk=at_clerk, in_common=in_common)
        return living

    async def _all(self, repair: RepairUsers, gone: GoneUsers, run: Run) -> None:
        progress = run.progress
        unfinished = UnfinishedRun(self.checkpoints, self.new_run(), gone, run)
        cursor = await unfinished.resume()
        run.observer.began(progress)
        pages = by_creation(run, self.identities, cursor)
        async with unfinished.saved_at_the_end(), aclosing(pages):
            async for page in pages:
                await repair(page.users)
                if page.next is None:
                    run.options.allowance.require_whole_list(listed=progress.listed, at_clerk=progress.at_clerk)
                if page.complete:
                    await gone.compare(page.complete)
                await unfinished.reached(page)
                run.observer.progressed(progress)
        await gone.delete()
        await unfinished.finish()
