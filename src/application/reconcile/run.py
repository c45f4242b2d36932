"""Make our users equal to Clerk's: the answer to webhooks that never came, and the first import."""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import aclosing, suppress
from functools import partial

from attrs import define

from application.errors import SafetyStopError, StoreUnavailableError
from application.reconcile.drift import (
    CreationKey,
    Difference,
    Drift,
    LivingUsers,
    objection_before,
    objection_to_deleting,
    objection_to_list,
)
from application.reconcile.listing import OVERLAP, PAGE, Complete, PageResult, UserCursor, by_change, by_creation
from application.reconcile.options import (
    Checkpoint,
    Checkpoints,
    ReconcileObserver,
    ReconcileOptions,
    ReconcileProgress,
)
from application.reconcile.repair import RepairUsers
from application.reconcile.retry import Retry, together
from application.users.delete_user import DeleteUser
from application.users.ports import ClerkUsers, Listed, UserDirectory
from application.users.sync_user import SyncUser
from domain.decision import Outcome
from domain.snapshot import Deletion, Snapshot
from domain.user import UserId

SAVE_EVERY_S = 1.0
"""A crash costs so much reading; a checkpoint names everybody who is to be deleted, so each page would be too often."""

LIVING = 1000
"""Of our users in one statement, to find those that Clerk did not list."""

RESUMED_FOR_MS = 24 * 3_600_000
"""How old a run may be that is resumed: what it has compared is as old."""


@define(eq=False, kw_only=True)
class Reconcile:
    """Read Clerk's users, compare, repair both ways through the use cases.

    What was read is older than what a webhook brings meanwhile, and its place in Clerk's time says so: `SyncUser` keeps
    the newer of the two, whoever comes first. Two runs at once do the same twice and harm nothing.

    Args:
        now_ms: the wall clock, milliseconds since 1970.
        clock: seconds that only ever go forward.
        page: users in one question to Clerk; so many of the page before it, `overlap`, are read again.
        living_page: of our users in one statement.
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
    page: int = PAGE
    overlap: int = OVERLAP
    living_page: int = LIVING

    async def __call__(self, order: ReconcileOptions, tally: ReconcileProgress, observer: ReconcileObserver) -> None:
        """Carry `order` out; `tally` counts, and tells what was done when this is cut short.

        Raises:
            SafetyStopError: too many would be deleted; nobody was.
            ClerkUnavailableError, StoreUnavailableError: trouble that outlasted patience; the next run goes
                on from the last checkpoint.
            ClerkRefusedError, ClerkKeyRefusedError, ClerkNotConfiguredError: Clerk
                will not be asked.
        """
        run = _Run(self, order, tally, observer)
        await run.check()
        if order.user is not None:
            await run.only(order.user)
        elif order.since is not None:
            await run.changed_since(order.since)
        else:
            await run.everybody()


class _Run:
    def __init__(
        self, parts: Reconcile, order: ReconcileOptions, tally: ReconcileProgress, observer: ReconcileObserver
    ) -> None:
        self._parts = parts
        self._order = order
        self._tally = tally
        self._observer = observer
        self._name = parts.new_run()
        self._patience = Retry(order.patience_s, parts.clock, parts.sleep, observer.waits)
        self._repair = RepairUsers(
            identities=parts.identities,
            users=parts.users,
            sync_user=parts.sync_user,
            patience=self._patience,
            dry_run=order.dry_run,
            tell=self._tell,
        )
        self._gone: list[UserId] = []
        self._unlisted = 0
        self._living = 0
        self._saved_at = parts.clock()
        tally.began_at = parts.now_ms()

    async def check(self) -> None:
        """Ask whether this looks like the Clerk instance that our users are from.

        Raises:
            SafetyStopError: it does not.
        """
        self._tally.at_clerk = await self._patience(self._parts.identities.count)
        self._living = await self._patience(self._parts.living.count)
        in_common = False
        for user_id in await self._patience(self._parts.living.sample):
            if isinstance(await self._repair.ask(user_id), Snapshot):
                in_common = True
                break
        _object(
            objection_before(
                living=self._living,
                at_clerk=self._tally.at_clerk,
                in_common=in_common,
                allowance=self._order.allowance,
            )
        )

    async def only(self, user_id: UserId) -> None:
        self._observer.began(self._tally)
        user = await self._repair.ask(user_id)
        if user:
            await self._take([user])
        else:
            await self._add_gone([user_id])
            await self._delete()

    async def changed_since(self, since: int) -> None:
        parts = self._parts
        self._observer.began(self._tally)

        async def read(offset: int) -> Sequence[Listed]:
            ask = partial(parts.identities.recently_updated, offset=offset, limit=parts.page)
            return await self._patience(ask)

        pages = by_change(read, since=since, limit=parts.page, overlap=parts.overlap)
        async with aclosing(pages):
            async for users in pages:
                await self._take(users)
                self._observer.progressed(self._tally)

    async def everybody(self) -> None:
        parts = self._parts

        async def read(walk: UserCursor) -> Sequence[Listed]:
            ask = partial(parts.identities.page, created_from=walk.created_from, offset=walk.offset, limit=parts.page)
            return await self._patience(ask)

        walk = await self._resume()
        self._observer.began(self._tally)
        reached: PageResult | None = None
        try:
            stretches = by_creation(read, walk, limit=parts.page, overlap=parts.overlap, began_at=self._tally.began_at)
            async with aclosing(stretches):
                async for stretch in stretches:
                    await self._compare(stretch)
                    reached = stretch
                    if self._parts.clock() - self._saved_at > SAVE_EVERY_S:
                        await self._patience(partial(self._save, stretch))
                    self._observer.progressed(self._tally)
        finally:
            if reached:
                with suppress(StoreUnavailableError):
                    await self._save(reached)
        await self._delete()
        if not self._order.dry_run:
            await self._patience(partial(self._parts.checkpoints.finish, self._name))

    async def _compare(self, stretch: PageResult) -> None:
        await self._take(stretch.users)
        if stretch.next is None:
            self._require_whole_list()
        if stretch.complete:
            await self._look_for_gone(stretch.complete)

    async def _take(self, users: Sequence[Listed]) -> None:
        self._tally.moved += await self._repair(users)
        self._tally.listed += len(users)

    async def _look_for_gone(self, complete: Complete) -> None:
        # Who was created since the run began is the webhooks' business: a list, and even an answer of Clerk's, may be
        # older than a webhook by a moment.
        before = min(self._tally.began_at, complete.created_before or self._tally.began_at)
        after = CreationKey(complete.created_from, UserId(""))
        while marks := await self._patience(
            partial(self._parts.living.created, after, before, self._parts.living_page)
        ):
            after = marks[-1]
            await self._add_gone([mark.user_id for mark in marks if mark.user_id not in complete.ids])

    async def _add_gone(self, suspects: Sequence[UserId]) -> None:
        for some in _batches(suspects, self._parts.page):
            gone = await self._repair.look_up(some)
            self._gone += gone
            self._unlisted += len(some) - len(gone)
            objection = objection_to_deleting(
                gone=len(self._gone),
                unlisted=self._unlisted,
                living=self._living,
                allowance=self._order.allowance,
            )
            if objection:
                for user_id in self._gone:
                    self._tell(Difference(user_id=user_id, drift=Drift.GONE))
            _object(objection)

    def _require_whole_list(self) -> None:
        tally = self._tally
        _object(objection_to_list(listed=tally.listed, at_clerk=tally.at_clerk, allowance=self._order.allowance))

    async def _delete(self) -> None:
        if self._order.dry_run or (self._gone and not await self._observer.may_delete(self._gone)):
            for user_id in self._gone:
                self._tell(Difference(user_id=user_id, drift=Drift.GONE))
            return
        for some in _batches(self._gone, self._parts.page):
            await together(self._delete_one(user_id) for user_id in some)

    async def _delete_one(self, user_id: UserId) -> None:
        deletion = Deletion(id=user_id, deleted_at=self._parts.now_ms())
        decision = await self._patience(partial(self._parts.delete_user, deletion))
        if decision.outcome is Outcome.DELETED:
            self._tell(Difference(user_id=user_id, drift=Drift.GONE, repaired=True))

    async def _resume(self) -> UserCursor | None:
        """Return where to read on."""
        if self._order.dry_run:
            return UserCursor()
        began_after = self._tally.began_at - (0 if self._order.restart else RESUMED_FOR_MS)
        left = await self._patience(partial(self._parts.checkpoints.take, self._name, began_after=began_after))
        if left is None:
            return UserCursor()
        tally = self._tally
        tally.began_at, tally.resumed, tally.listed, tally.moved = left.began_at, True, left.listed, left.moved
        tally.found, tally.repaired = Counter(left.found), Counter(left.repaired)
        await self._add_gone(left.gone)  # who was gone then is asked for again now
        return None if left.created_from is None else UserCursor(created_from=left.created_from)

    async def _save(self, reached: PageResult) -> None:
        if self._order.dry_run:
            return
        tally, walk = self._tally, reached.next
        checkpoint = Checkpoint(
            began_at=tally.began_at,
            created_from=walk.created_from if walk else None,
            gone=tuple(self._gone),
            listed=tally.listed - len(walk.seen if walk else ()),  # those will be listed again
            moved=tally.moved,
            found=dict(tally.found),
            repaired=dict(tally.repaired),
        )
        await self._parts.checkpoints.save(self._name, checkpoint)
        self._saved_at = self._parts.clock()

    def _tell(self, difference: Difference) -> None:
        self._tally.add(difference)
        self._observer.differs(difference)


def _object(objection: str | None) -> None:
    if objection:
        raise SafetyStopError(objection)


def _batches(ids: Sequence[UserId], size: int) -> Iterator[Sequence[UserId]]:
    for start in range(0, len(ids), size):
        yield ids[start : start + size]
