"""The read path: users and sessions by id; concurrent readers of one process share a statement."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import TypeAlias

from attrs import define, field
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres.asyncpg_execution import Compiled, directly
from adapters.postgres.connection.dial import STATEMENT_TIMEOUT_S, Driver
from adapters.postgres.deadline_future import DeadlineFuture
from adapters.postgres.failures import raised_as_unavailable
from adapters.postgres.statements import READ_WITH_SESSIONS, read_with_sessions
from application.deadlines import Deadlines
from application.errors import StoreUnavailableError
from application.users.ports import SignedIn
from domain.session import SessionId
from domain.user import Known, UserId

_Reader: TypeAlias = tuple[UserId, SessionId | None, DeadlineFuture[SignedIn]]

BATCH_LIMIT = 256
"""Users in one statement; a batch forms by itself while the one before it is in flight."""


@define(eq=False)
class PostgresUserReader:
    """`UserReader` on PostgreSQL.

    A single read is sent at once. Reads that come while a statement is in flight are in the next one, never in that
    one: a reader sees everything that was committed before it asked.
    """

    _engine: AsyncEngine
    _limit_s: float = STATEMENT_TIMEOUT_S
    _statement: Compiled = READ_WITH_SESSIONS
    _connected: Callable[[AsyncEngine], AbstractAsyncContextManager[Driver]] = directly
    _deadlines: Deadlines = field(factory=Deadlines, init=False)
    _waiting: list[_Reader] = field(factory=list, init=False)
    _reading: "asyncio.Task[None] | None" = field(default=None, init=False)

    async def get(self, user_id: UserId) -> Known:
        return (await self.signed_in(user_id, None)).user

    async def signed_in(self, user_id: UserId, session_id: SessionId | None) -> SignedIn:
        answer: DeadlineFuture[SignedIn] = DeadlineFuture(self._deadlines, self._limit_s)
        self._waiting.append((user_id, session_id, answer))
        if self._reading is None:
            self._reading = asyncio.create_task(self._read_batches(), name="user-reader")
        return await answer.wait()

    async def _read_batches(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:BATCH_LIMIT], self._waiting[BATCH_LIMIT:]
                if wanted := [reader for reader in batch if not reader[2].done]:
                    await self._read(wanted)
        finally:
            self._reading = None

    async def _read(self, batch: list[_Reader]) -> None:
        try:
            with raised_as_unavailable():
                async with self._connected(self._engine) as driver:
                    users, revoked, behind_s = await read_with_sessions(
                        driver,
                        {user_id for user_id, _, _ in batch},
                        {session_id for _, session_id, _ in batch if session_id is not None},
                        self._statement,
                    )
        except StoreUnavailableError as error:
            for _, _, answer in batch:
                answer.fail(StoreUnavailableError(*error.args))  # one each: a raised error keeps a traceback
            return
        except Exception as error:  # noqa: BLE001  # a bug; without an answer the callers would wait
            for _, _, answer in batch:
                answer.fail(error)
            return
        for user_id, session_id, answer in batch:
            answer.give(SignedIn(users.get(user_id), session_id in revoked, behind_s))
