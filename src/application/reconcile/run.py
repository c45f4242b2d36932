"""Make our users equal to Clerk's: the answer to webhooks that never came, and the first import."""

from collections.abc import Awaitable, Callable

from attrs import define, field

from application.reconcile.checkpoint import NO_CHECKPOINTS, UnfinishedRun
from application.reconcile.drift import Difference, LivingUsers, objection_before, stop_at
from application.reconcile.gone import GoneUsers
from application.reconcile.listing import PageSizes
from application.reconcile.options import Checkpoints, ReconcileObserver, ReconcileOptions, ReconcileProgress
from application.reconcile.repair import RepairUsers
from application.reconcile.retry import Retry
from application.reconcile.walk import Walk
from application.users.delete_user import DeleteUser
from application.users.ports import ClerkUsers, UserDirectory
from application.users.sync_user import SyncUser
from domain.snapshot import Snapshot


@define(eq=False, kw_only=True)
class Reconcile:
    """Read Clerk's users, compare, repair both ways through the use cases.

    What was read is older than what a webhook brings meanwhile, and its place in Clerk's time says so: `SyncUser` keeps
    the newer of the two, in whatever order they come. Two runs at once do the same twice and do no harm.

    Args:
        now_ms: the wall clock, milliseconds since 1970.
        clock: monotonic seconds.
        new_run: returns a new name for each run.
    """

    identities: ClerkUsers
    users: UserDirectory
    living: LivingUsers
    sync_user: SyncUser
    delete_user: DeleteUser
    checkpoints: Checkpoints
    now_ms: Callable[[], int]
    clock: Callable[[], float]
    sleep: Callable[[float], Awaitable[None]]
    new_run: Callable[[], str]
    sizes: PageSizes = field(factory=PageSizes)

    async def __call__(
        self, options: ReconcileOptions, progress: ReconcileProgress, observer: ReconcileObserver
    ) -> None:
        """Run once; `progress` counts, also when the run is cut short.

        Raises:
            SafetyStopError: too many would be deleted; nobody was.
            ClerkUnavailableError, StoreUnavailableError: a failure that lasted longer than `options.patience_s`; the
                next run goes on from the last checkpoint.
            ClerkRefusedError, ClerkKeyRefusedError, ClerkNotConfiguredError: Clerk does not answer at all.
        """
        progress.began_at = self.now_ms()
        walk = await self._begin(options, progress, observer)
        if options.user is not None:
            await walk.one(options.user)
        elif options.since is not None:
            await walk.changed_since(options.since)
        else:
            await walk.all()

    async def _begin(self, options: ReconcileOptions, progress: ReconcileProgress, observer: ReconcileObserver) -> Walk:
        """Check that this looks like the Clerk instance that our users are from.

        Raises:
            SafetyStopError: it does not.
        """

        def report(difference: Difference) -> None:
            progress.add(difference)
            observer.differs(difference)

        retry = Retry(options.patience_s, self.clock, self.sleep, observer.waits)
        repair = RepairUsers(
            identities=self.identities,
            users=self.users,
            sync_user=self.sync_user,
            retry=retry,
            dry_run=options.dry_run,
            report=report,
        )
        progress.at_clerk = await retry(self.identities.count)
        living = await retry(self.living.count)
        in_common = False
        for user_id in await retry(self.living.sample):
            if in_common := isinstance(await repair.ask(user_id), Snapshot):
                break
        allowance = options.allowance
        stop_at(objection_before(living=living, at_clerk=progress.at_clerk, in_common=in_common, allowance=allowance))
        checkpoints = NO_CHECKPOINTS if options.dry_run else self.checkpoints
        gone = GoneUsers(
            users=self.living,
            living=living,
            allowance=allowance,
            repair=repair,
            delete_user=self.delete_user,
            retry=retry,
            report=report,
            now_ms=self.now_ms,
            sizes=self.sizes,
        )
        return Walk(
            options=options,
            progress=progress,
            observer=observer,
            identities=self.identities,
            repair=repair,
            gone=gone,
            retry=retry,
            unfinished=UnfinishedRun(checkpoints, self.new_run(), progress, gone, retry, self.clock),
            sizes=self.sizes,
        )
