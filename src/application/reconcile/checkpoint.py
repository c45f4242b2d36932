"""Where an interrupted run goes on."""

from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial

from attrs import define, field

from application.errors import StoreUnavailableError
from application.reconcile.gone import GoneUsers
from application.reconcile.listing import PageResult, UserCursor
from application.reconcile.options import Checkpoint, Checkpoints, ReconcileProgress
from application.reconcile.retry import Retry

SAVE_EVERY_S = 1.0
"""A checkpoint names every user who is to be deleted, so one for each page would be too many."""

RESUMED_FOR_MS = 24 * 3_600_000
"""How old a run may be that is resumed: what it has compared is as old."""


class _NoCheckpoints:
    """`Checkpoints` of a dry run."""

    async def take(self, run: str, *, began_after: int) -> None:
        pass

    async def save(self, run: str, checkpoint: Checkpoint) -> None:
        pass

    async def finish(self, run: str) -> None:
        pass


NO_CHECKPOINTS = _NoCheckpoints()


@define
class UnfinishedRun:
    checkpoints: Checkpoints
    name: str
    progress: ReconcileProgress
    gone: GoneUsers
    retry: Retry
    clock: Callable[[], float]
    _reached: PageResult | None = field(default=None, init=False)
    _saved_at: float = field(default=float("-inf"), init=False)

    async def resume(self, *, restart: bool) -> UserCursor | None:
        """Take over what an interrupted run has left, and return where to read on; None at the end of the list."""
        self._saved_at = self.clock()
        progress = self.progress
        began_after = progress.began_at - (0 if restart else RESUMED_FOR_MS)
        left = await self.retry(partial(self.checkpoints.take, self.name, began_after=began_after))
        if left is None:
            return UserCursor()
        progress.began_at, progress.resumed = left.began_at, True
        progress.listed, progress.moved = left.listed, left.moved
        progress.found, progress.repaired = Counter(left.found), Counter(left.repaired)
        await self.gone.look_up(left.gone)  # Clerk may have them again
        return None if left.created_from is None else UserCursor(created_from=left.created_from)

    async def reached(self, page: PageResult) -> None:
        """Note that all up to the end of this page is compared, and save it now and then."""
        self._reached = page
        if self.clock() - self._saved_at > SAVE_EVERY_S:
            await self.retry(partial(self._save, page))

    @asynccontextmanager
    async def saved_at_the_end(self) -> AsyncIterator[None]:
        """Save how far the block came, however it ends, if the database answers."""
        try:
            yield
        finally:
            if self._reached:
                with suppress(StoreUnavailableError):
                    await self._save(self._reached)

    async def finish(self) -> None:
        await self.retry(partial(self.checkpoints.finish, self.name))

    async def _save(self, page: PageResult) -> None:
        progress, cursor = self.progress, page.next
        checkpoint = Checkpoint(
            began_at=progress.began_at,
            created_from=cursor.created_from if cursor else None,
            gone=tuple(self.gone.ids),
            listed=progress.listed - len(cursor.seen if cursor else ()),  # those will be listed again
            moved=progress.moved,
            found=dict(progress.found),
            repaired=dict(progress.repaired),
        )
        await self.checkpoints.save(self.name, checkpoint)
        self._saved_at = self.clock()
