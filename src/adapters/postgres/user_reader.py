"""The read path: users by id; concurrent readers of one process share a statement."""

import asyncio

from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres.asyncpg_execution import directly
from adapters.postgres.connection.dial import STATEMENT_TIMEOUT_S
from adapters.postgres.deadline_future import DeadlineFuture
from adapters.postgres.failures import raised_as_unavailable
from adapters.postgres.statements import read
from application.errors import StoreUnavailableError
from domain.user import Known, UserId

BATCH_LIMIT = 256
"""Users in one statement; a batch forms by itself while the one before it is in flight."""


class PostgresUserReader:
    """`UserReader` on PostgreSQL.

    A lone reader's statement goes at once. Whoever comes while it is in flight is in the next one, never in that one:
    a reader sees everything that was committed before it asked.
    """

    def __init__(self, engine: AsyncEngine, limit_s: float = STATEMENT_TIMEOUT_S) -> None:
        self._engine = engine
        self._limit_s = limit_s
        self._waiting: list[tuple[UserId, DeadlineFuture[Known]]] = []
        self._reading: asyncio.Task[None] | None = None

    async def get(self, user_id: UserId) -> Known:
        """See `UserReader.get`."""
        answer: DeadlineFuture[Known] = DeadlineFuture(self._limit_s)
        self._waiting.append((user_id, answer))
        if self._reading is None:
            self._reading = asyncio.create_task(self._read_batches(), name="user-reader")
        return await answer.wait()

    async def _read_batches(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:BATCH_LIMIT], self._waiting[BATCH_LIMIT:]
                if wanted := [(user_id, answer) for user_id, answer in batch if not answer.done]:
                    await self._read(wanted)
        finally:
            self._reading = None

    async def _read(self, batch: list[tuple[UserId, DeadlineFuture[Known]]]) -> None:
        try:
            with raised_as_unavailable():
                async with directly(self._engine) as driver:
                    stored = await read(driver, {user_id for user_id, _ in batch})
        except StoreUnavailableError as error:
            for _, answer in batch:
                answer.fail(StoreUnavailableError(*error.args))  # one each: a raised error keeps its caller's frames
            return
        except Exception as error:  # noqa: BLE001
            # A bug, not a fault: the callers must hear of it, and at once.
            for _, answer in batch:
                answer.fail(error)
            return
        for user_id, answer in batch:
            found = stored.get(user_id)
            answer.give(found.user if found else None)
