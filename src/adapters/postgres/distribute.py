"""Distributes the tables of users over the servers of a Citus cluster, while the service runs."""

from collections.abc import AsyncIterator

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from adapters.postgres.citus import create_functions
from adapters.postgres.cluster import read_cluster
from adapters.postgres.connection.target import Target
from adapters.postgres.engine import create_engine
from adapters.postgres.failures import DATABASE_ERRORS, cause_of, code_of, words_of_server
from adapters.postgres.migrate import LOCK, LOCK_TIMEOUT_MS
from adapters.postgres.tables import DISTRIBUTED_BY
from application.doctor.cluster import ClusterFacts, why_not_distributable
from application.errors import StoreUnavailableError
from application.failure import Cause

COPIED_AT_ONCE = 5_000  # rows that are copied while writes wait; a larger table is copied concurrently

_IS_SMALL = "SELECT count(*) <= {limit} FROM (SELECT FROM {table} LIMIT {limit} + 1) AS first_rows"


async def distribute_at(target: Target) -> AsyncIterator[str]:
    """Do as `distribute` on a connection made for it."""
    engine = create_engine(target, pool_size=1, application_name="auth-service-migrate", statement_timeout_s=None)
    try:
        async for done in distribute(engine):
            yield done
    finally:
        await engine.dispose()


async def distribute(engine: AsyncEngine) -> AsyncIterator[str]:
    """Distribute by user what is not distributed yet, and yield each table when it is; see `migrate`."""
    try:
        async with engine.connect() as connection:
            # Citus distributes a table in several transactions of its own, so none may be open here.
            await connection.execution_options(isolation_level="AUTOCOMMIT")
            await connection.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": LOCK})
            await connection.execute(text(f"SET lock_timeout = {LOCK_TIMEOUT_MS}"))
            cluster = await read_cluster(connection)
            for table in _distributable(cluster):
                await _distribute(connection, table, logical=cluster is not None and cluster.logical)
                yield table
        async with engine.begin() as connection:
            await create_functions(connection)
    except DATABASE_ERRORS as error:
        what = f"running it again is safe: {words_of_server(error) or code_of(error)}"
        raise StoreUnavailableError(what, cause_of(error)) from error


def _distributable(cluster: ClusterFacts | None) -> list[str]:
    if problem := why_not_distributable(cluster):
        raise StoreUnavailableError(f"{problem}; nothing was changed", Cause.CONFIGURATION)
    return [*cluster.missing] if cluster else []


async def _distribute(connection: AsyncConnection, table: str, *, logical: bool) -> None:
    small = await connection.execute(text(_IS_SMALL.format(table=table, limit=COPIED_AT_ONCE)))
    beside_writes = not small.scalar()
    if beside_writes and not logical:
        what = f"{table} has many rows, and wal_level is not logical: set it, restart the server, and run this again"
        raise StoreUnavailableError(what, Cause.CONFIGURATION)
    function = "create_distributed_table_concurrently" if beside_writes else "create_distributed_table"
    await connection.execute(
        text(f"SELECT {function}(:table, :column, colocate_with => :with)"),
        {
            "table": table,
            "column": DISTRIBUTED_BY[table],
            # Not with other applications' tables: moves of their shards would move ours.
            "with": "none" if table == "users" else "users",
        },
    )
