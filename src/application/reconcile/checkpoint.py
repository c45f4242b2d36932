"""Where an interrupted run continues."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial

from attrs import define, field

from application.errors import StoreUnavailableError
from application.reconcile.gone import GoneUsers
from application.reconcile.listing import PageResult, UserCursor
from application.reconcile.options import Run
from application.reconcile.ports import Checkpoint, Checkpoints

SAVE_EVERY_S = 1.0  # a checkpoint names every user who is to be deleted, so one for each page would cost too much
RESUMED_FOR_MS = 24 * 3_600_000  # the age up to which a run is resumed: its comparisons are as old


@define
class UnfinishedRun:
    """What is saved of a run; nothing for a dry run."""

    checkpoints: Checkpoints
    name: str
    gone: GoneUsers
    run: Run
    _reached: PageResult | None = field(default=None, init=False)
    _saved_at: float = field(default=float("-inf"), init=False)

    async def resume(self) -> UserCursor | None:
        """Load the state of an interrupted run, and return where to continue reading; None at the end of the list."""
        progress, options = self.run.progress, self.run.options
        if options.dry_run:
            return UserCursor()
        self._saved_at = self.run.retry.clock()
        # Not `began_at` itself: the run before may have been on a machine whose clock is ahead.
        began_after = progress.began_at + (RESUMED_FOR_MS if options.restart else -RESUMED_FOR_MS)
        left = await self.run.retry(partial(self.checkpoints.take, self.name, began_after=began_after))
        if left is None:
            return UserCursor()
        progress.began_at, progress.resumed = left.began_at, True
        progress.listed, progress.moved = left.listed, left.moved
        progress.found, progress.repaired = Counter(left.found), Counter(left.repaired)
        await self.gone.look_up(left.gone)  # Clerk may have them again
        return None if left.created_from is None else UserCursor(created_from=left.created_from)

    async def reached(self, page: PageResult) -> None:
        """Note that all users up to the end of this page are compared, and save that from time to time."""
        self._reached = page
        if self.run.retry.clock() - self._saved_at > SAVE_EVERY_S:
            await self.run.retry(partial(self._save, page))

    @asynccontextmanager
    async def saved_at_the_end(self) -> AsyncIterator[None]:
        """Save the progress of the block, however it ends, if the database answers."""
        try:
            yield
        finally:
            if self._reached:
                with suppress(StoreUnavailableError):
                    await self._save(self._reached)

    async def finish(self) -> None:
        if not self.run.options.dry_run:
            await self.run.retry(partial(self.checkpoints.finish, self.name))

    async def _save(self, page: PageResult) -> None:
        if self.run.options.dry_run:
            return
        progress, cursor = self.run.progress, page.next
        checkpoint = Checkpoint(
            began_at=progress.began_at,
            created_from=cursor.created_from if cursor else None,
            gone=tuple(self.gone.ids),
            listed=progress.listed - len(cursor.seen if cursor else ()),  # these will be listed again
            moved=progress.moved,
            found=dict(progress.found),
            repaired=dict(progress.repaired),
        )
        await self.checkpoints.save(self.name, checkpoint)
        self._saved_at = self.run.retry.clock()
