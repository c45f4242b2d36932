"""Statements, each written as SQL, made ready once by SQLAlchemy and executed by asyncpg itself.

SQLAlchemy's own execution was measured at 180 µs of CPU a statement, where asyncpg takes 50 (ADR 0018).
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeAlias, cast

import asyncpg
from sqlalchemy import text
from sqlalchemy.dialects.postgresql.asyncpg import dialect
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.util.concurrency import greenlet_spawn

from adapters.postgres.connection.dial import Dialer, Driver, is_behind_pooler
from adapters.postgres.connection.driver import Connection
from adapters.postgres.engine import READ_ONLY

Row: TypeAlias = asyncpg.Record

# PostgreSQL documentation, appendix A. A server that shuts down sends its error before asyncpg sees the connection end;
# after a failover an old connection may still reach the former primary, now read-only: connect again.
_LEAVE = ("08", "57P", READ_ONLY)
# The same appendix: a prepared statement that does not exist, or whose name another client's has.
_LOST_STATEMENT = ("26000", "42P05")


class Compiled:
    """A statement as asyncpg takes it; `sql` has a `:name` for each of its values."""

    def __init__(self, sql: str) -> None:
        compiled = text(sql).compile(dialect=dialect())  # type: ignore[no-untyped-call]
        assert isinstance(compiled, SQLCompiler)  # noqa: S101
        self.sql = compiled.string
        self._names = list(compiled.positiontup or ())

    async def fetch(self, driver: Driver, parameters: Mapping[str, Any]) -> list[Row]:
        return await driver.fetch(self.sql, *self._values(parameters))

    async def run(self, driver: Driver, each: Iterable[Mapping[str, Any]]) -> None:
        """Execute it once for each of the parameters: one transaction, one round trip, and no rows come back."""
        await driver.executemany(self.sql, [self._values(parameters) for parameters in each])

    def _values(self, parameters: Mapping[str, Any]) -> list[Any]:
        return [parameters[name] for name in self._names]


@asynccontextmanager
async def directly(engine: AsyncEngine, *, commits: bool = False, publishes: bool = False) -> AsyncIterator[Driver]:
    """Give asyncpg's connection from the engine's pool, each statement a transaction; raises DBAPIError as the engine.

    Behind a pooler all statements are one transaction, so that they run in the same session of the server.

    Args:
        engine: whose pool.
        commits: what is written, or acknowledged because it exists, must survive a failover, so it waits for a
            synchronous standby, where there is one.
        publishes: what is read must survive a failover.
    """
    # Not `connect()`: SQLAlchemy's own connection costs as much as the driver's part of a short statement.
    try:
        pooled_connection = await engine.raw_connection()
    except engine.dialect.loaded_dbapi.Error as error:
        # The pool raises the driver's error, unlike `connect()`: a refused password, no connection left.
        raise DBAPIError(None, None, error, hide_parameters=True) from error
    try:
        driver = cast("Connection", pooled_connection.driver_connection)
        dialer: Dialer = engine.get_execution_options()["dialer"]
        try:
            if is_behind_pooler(driver):
                async with _transaction(driver, lasts=commits or publishes):
                    yield driver
            else:
                if commits or (publishes and not driver.sees_what_lasts):
                    await dialer.route.require_standby(driver)
                    await driver.require_replicated()
                yield driver
        except asyncio.CancelledError:
            # The cancelled statement terminates its connection, in the next turn of the loop.
            pooled_connection.invalidate()
            raise
        except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError) as error:
            # asyncpg raises InternalClientError when the server closed the connection while no statement ran.
            sqlstate = getattr(error, "sqlstate", None) or ""
            if sqlstate in _LOST_STATEMENT:
                dialer.lost_statement()
            lost = (
                driver.is_closed()
                or isinstance(error, asyncpg.InternalClientError)
                or sqlstate.startswith((*_LEAVE, *_LOST_STATEMENT))
            )
            if lost:
                # Drop this connection and all that are as old, as SQLAlchemy does for errors of its own.
                if pooled_connection.info.get("losses") == dialer.losses:  # else newer ones were made since
                    dialer.losses += 1
                await greenlet_spawn(pooled_connection.invalidate, error)
            elif isinstance(error, OSError):
                raise  # the connection is usable
            raise DBAPIError(None, None, error, hide_parameters=True, connection_invalidated=lost) from error
    finally:
        # It does not block, because SQLAlchemy began no transaction on it; a greenlet would cost twice the rest.
        pooled_connection.close()


@asynccontextmanager
async def _transaction(driver: "Connection", *, lasts: bool) -> AsyncIterator[None]:
    """As asyncpg's, but without a ROLLBACK on a lost connection, whose error would hide the reason."""
    transaction = driver.transaction(isolation="read_committed")  # a pooler does not pass ours on
    await transaction.start()
    try:
        if lasts:
            await driver.require_replicated()
        yield
    except Exception:
        if not driver.is_closed():
            await transaction.rollback()
        raise
    await transaction.commit()
