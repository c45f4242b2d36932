"""Group commit: concurrent changes of one process share a statement."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Hashable, Iterator, Sequence
from typing import Generic, TypeAlias, TypeVar

from attrs import define, field, frozen

from adapters.postgres.connection.dial import STATEMENT_TIMEOUT_S
from adapters.postgres.deadline_future import DeadlineFuture
from adapters.postgres.failures import DATABASE_ERRORS, Responsible, code_of, fault_of, unavailable
from application.deadlines import Deadlines
from application.errors import StoreBusyError, StoreUnavailableError, UnstorableError
from application.failure import Cause
from application.trace import traceparent

BATCH_LIMIT = 256
"""Changes in one statement; a batch forms by itself while the one before it is in flight."""

QUEUE_LIMIT = 4096
"""Changes that may wait; beyond that the sender gets 503."""

TRIES = 8
"""How often a change may lose a race or its connection before its sender has to retry."""

Key = TypeVar("Key", bound=Hashable)
State = TypeVar("State")
Decided = TypeVar("Decided")


@frozen(eq=False)
class Change(Generic[Key, State, Decided]):
    """A pure decision on what is stored under the key, and the future of its sender."""

    key: Key
    decide: Callable[[State], Decided]
    traceparent: str | None
    answer: DeadlineFuture[Decided]


Batch: TypeAlias = Sequence[Change[Key, State, Decided]]


@define(eq=False)
class GroupCommit(Generic[Key, State, Decided]):
    """Writes waiting changes in batches, and answers each.

    One batch is in flight at a time (two were measured to be no faster). Each key has at most one change in a batch,
    so its changes are decided one after the other, in the order they came.
    """

    # Writes one batch and answers its changes; a change without an answer afterwards lost a race.
    _attempt: Callable[[Batch[Key, State, Decided]], Awaitable[None]]
    _name: str = field(kw_only=True)  # of the task
    # Divides a batch into parts for different servers, which are written concurrently.
    _parts: Callable[[Batch[Key, State, Decided]], Awaitable[Sequence[Batch[Key, State, Decided]]]] | None = field(
        default=None, kw_only=True
    )
    _waiting: dict[Key, list[Change[Key, State, Decided]]] = field(factory=dict, init=False)
    _deadlines: Deadlines = field(factory=Deadlines, init=False)
    _count: int = field(default=0, init=False)
    _arrived: asyncio.Event = field(factory=asyncio.Event, init=False)
    _idle: asyncio.Event = field(factory=asyncio.Event, init=False)
    _writer: "asyncio.Task[None] | None" = field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self._idle.set()

    @property
    def waiting(self) -> int:
        """Changes without an answer."""
        return self._count

    def start(self) -> None:
        self._writer = asyncio.create_task(self._write_batches(), name=self._name)

    async def aclose(self) -> None:
        """Answer what waits, within the statement timeout, then stop."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._idle.wait(), STATEMENT_TIMEOUT_S)
        if self._writer:
            self._writer.cancel()
            await asyncio.gather(self._writer, return_exceptions=True)

    async def change(self, key: Key, decide: Callable[[State], Decided]) -> Decided:
        """Return the decision after COMMIT; raises as the stores' ports define."""
        if self._count >= QUEUE_LIMIT:
            raise StoreBusyError(f"{QUEUE_LIMIT} wait already")
        answer: DeadlineFuture[Decided] = DeadlineFuture(self._deadlines, STATEMENT_TIMEOUT_S)
        change = Change(key, decide, traceparent.get(), answer)
        self._waiting.setdefault(key, []).append(change)
        self._arrived.set()
        self._idle.clear()
        self._count += 1
        try:
            return await change.answer.wait()
        finally:
            self._count -= 1
            if not self._count:
                self._idle.set()

    def _take(self) -> list[Change[Key, State, Decided]]:
        batch = []
        for key in list(self._waiting)[:BATCH_LIMIT]:
            changes = self._waiting.pop(key)
            batch.append(changes.pop(0))
            if changes:
                self._waiting[key] = changes  # at the end: one busy key does not delay the others
        return [change for change in batch if not change.answer.done]

    async def _write_batches(self) -> None:
        while True:
            await self._arrived.wait()
            # Let requests that were received already come first: larger batches without waiting.
            await asyncio.sleep(0)
            batch = self._take()
            if not self._waiting:
                self._arrived.clear()
            with _failing(batch):
                parts = await self._parts(batch) if self._parts else [batch]
                if len(parts) == 1:
                    await self._settle(parts[0])
                else:
                    await asyncio.gather(*(self._settle_part(part) for part in parts))

    async def _settle_part(self, part: Sequence[Change[Key, State, Decided]]) -> None:
        with _failing(part):
            await self._settle(part)

    async def _settle(self, batch: Sequence[Change[Key, State, Decided]]) -> None:
        """Answer every change of the batch."""
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
            overtaken = StoreUnavailableError(f"lost a race {TRIES} times", Cause.BUSY)
            change.answer.fail(unavailable(lost) if lost else overtaken)


@contextlib.contextmanager
def _failing(batch: Sequence[Change[Key, State, Decided]]) -> Iterator[None]:
    """Answer the batch with what is raised, which is a bug; the next batch must still be written."""
    try:
        yield
    except Exception as error:  # noqa: BLE001
        for change in batch:
            change.answer.fail(error)
