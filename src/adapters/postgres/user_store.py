"""The write path: concurrent changes of one process share a statement (group commit)."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Mapping, Sequence

from attrs import evolve, frozen
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres.asyncpg_execution import directly
from adapters.postgres.connection.dial import STATEMENT_TIMEOUT_S
from adapters.postgres.deadline_future import DeadlineFuture
from adapters.postgres.failures import DATABASE_ERRORS, Responsible, code_of, fault_of, unavailable
from adapters.postgres.statements import Stored, Write, read, write
from application.errors import StoreBusyError, StoreUnavailableError, UnstorableError
from application.failure import Cause
from application.relay.messages import Encode
from application.trace import traceparent
from application.users.ports import Decide
from domain.decision import Decision
from domain.user import UserId

BATCH_LIMIT = 256
"""Changes in one statement; a batch forms by itself while the one before it is in flight."""

QUEUE_LIMIT = 4096
"""Changes that may wait; beyond that a sender is better told to come back later."""

TRIES = 8
"""How often a change may lose a race or its connection before its sender has to try again."""


@frozen(eq=False)
class _Change:
    user_id: UserId
    decide: Decide
    traceparent: str | None
    answer: DeadlineFuture[Decision]


AroundBatch = Callable[[Sequence[_Change]], contextlib.AbstractContextManager[None]]
"""What a batch runs in: a span, when there are traces."""

_nothing = contextlib.nullcontext()


class PostgresUserStore:
    """`UserStore` on PostgreSQL.

    One batch is in flight at a time (two were measured to be no faster): one read, the decisions, one write. Each
    user has at most one change in a batch, so its changes are decided one after the other, in the order they came.
    """

    def __init__(  # noqa: PLR0913  # its ports, and two bounds
        self,
        engine: AsyncEngine,
        encode: Encode,
        on_commit: Callable[[], None],
        around_batch: AroundBatch = lambda _: _nothing,
        *,
        limit_s: float = STATEMENT_TIMEOUT_S,
        queue_limit: int = QUEUE_LIMIT,
    ) -> None:
        """`on_commit` is called after a COMMIT that stored events, and must not block.

        `limit_s` is how long a caller waits for its answer.
        """
        self._engine = engine
        self._encode = encode
        self._on_commit = on_commit
        self._around_batch = around_batch
        self._limit_s = limit_s
        self._queue_limit = queue_limit
        self._waiting: dict[UserId, deque[_Change]] = {}
        self._count = 0
        self._arrived = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._writer: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        """Return how many changes have no answer yet."""
        return self._count

    async def start(self) -> None:
        # The first webhook should not be the one to pay for a connection and for preparing the statement.
        with contextlib.suppress(*DATABASE_ERRORS):
            async with directly(self._engine) as driver:
                await read(driver, [])
        self._writer = asyncio.create_task(self._write_batches(), name="user-store-writer")

    async def aclose(self) -> None:
        """Finish what waits, bounded by the statement timeout, then stop."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._idle.wait(), self._limit_s)
        if self._writer:
            self._writer.cancel()
            await asyncio.gather(self._writer, return_exceptions=True)

    async def change(self, user_id: UserId, decide: Decide) -> Decision:
        """See `UserStore.change`."""
        if self._count >= self._queue_limit:
            raise StoreBusyError(f"{self._queue_limit} wait already")
        change = _Change(user_id, decide, traceparent.get(), DeadlineFuture(self._limit_s))
        self._waiting.setdefault(user_id, deque()).append(change)
        self._arrived.set()
        self._idle.clear()
        self._count += 1
        try:
            return await change.answer.wait()
        finally:
            self._count -= 1
            if not self._count:
                self._idle.set()

    def _take(self) -> list[_Change]:
        batch = []
        for user_id in list(self._waiting)[:BATCH_LIMIT]:
            changes = self._waiting.pop(user_id)
            batch.append(changes.popleft())
            if changes:
                self._waiting[user_id] = changes  # again at the end: one busy user does not hold up the others
        return [change for change in batch if not change.answer.done]

    async def _write_batches(self) -> None:
        while True:
            await self._arrived.wait()
            # Let requests that have been received already get here first: larger batches, for no waiting.
            await asyncio.sleep(0)
            batch = self._take()
            if not self._waiting:
                self._arrived.clear()
            try:
                await self._settle(batch)
            except Exception as error:  # noqa: BLE001
                # A bug, not a fault: the callers must hear of it, and the next batch must still be written.
                for change in batch:
                    change.answer.fail(error)

    async def _settle(self, batch: Sequence[_Change]) -> None:
        """Bring every change of the batch to an answer."""
        lost: BaseException | None = None
        for _ in range(TRIES):
            batch = [change for change in batch if not change.answer.done]
            if not batch:
                return
            try:
                await self._attempt(batch)
            except DATABASE_ERRORS as error:
                match fault_of(error):
                    case Responsible.RACE | Responsible.CONNECTION:
                        lost = error
                    case Responsible.CHANGE if len(batch) > 1:
                        await self._settle(batch[: len(batch) // 2])
                        await self._settle(batch[len(batch) // 2 :])
                        return
                    case Responsible.CHANGE:
                        batch[0].answer.fail(UnstorableError(f"PostgreSQL refused it ({code_of(error)})"))
                    case Responsible.DATABASE:
                        for change in batch:
                            change.answer.fail(unavailable(error))
        for change in batch:
            change.answer.fail(unavailable(lost) if lost else _overtaken())

    async def _attempt(self, batch: Sequence[_Change]) -> None:
        """Read, decide, write; a change without an answer afterwards lost a race."""
        with self._around_batch(batch):
            async with directly(self._engine) as driver:
                decided = self._decide(batch, await read(driver, [change.user_id for change in batch]))
                if not decided:
                    return
                has_events = any(prepared.events for _, _, prepared in decided)
                written = await write(driver, [prepared for _, _, prepared in decided])
        # Behind a pooler this is the first moment after COMMIT.
        if has_events:
            self._on_commit()
            # A turn of the loop for the wake-up to leave before answers are composed: 0.3 ms of an idle relay's time.
            await asyncio.sleep(0)
        for change, decision, _ in decided:
            if change.user_id in written:
                change.answer.give(decision)

    def _decide(
        self, batch: Sequence[_Change], known: Mapping[UserId, Stored]
    ) -> list[tuple[_Change, Decision, Write]]:
        """Return what has to be written, and answer what has not."""
        decided: list[tuple[_Change, Decision, Write]] = []
        for change in batch:
            stored = known.get(change.user_id)
            before = stored.user if stored else None
            try:
                decision = change.decide(before)
                if decision.user is before:
                    change.answer.give(decision)
                    continue
                messages = [evolve(self._encode(event), traceparent=change.traceparent) for event in decision.events]
                prepared = Write.of(decision.user, stored.revision + 1 if stored else 1, messages)
            except UnicodeError:
                change.answer.fail(UnstorableError("a text that no encoding can carry"))
            except Exception as error:  # noqa: BLE001  # one bad decision must not fail its neighbours
                change.answer.fail(error)
            else:
                decided.append((change, decision, prepared))
        return decided


def _overtaken() -> StoreUnavailableError:
    return StoreUnavailableError(f"lost a race {TRIES} times", Cause.BUSY)
