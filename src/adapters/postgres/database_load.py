"""How busy this process keeps PostgreSQL."""

from sqlalchemy import QueuePool
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres.user_store import PostgresUserStore
from application.users.ports import DatabaseLoad


def read_database_load(engine: AsyncEngine, store: PostgresUserStore) -> DatabaseLoad:
    """Read what waits for `store` and how many connections `engine` has; asks no server."""
    pool = engine.pool
    assert isinstance(pool, QueuePool)  # noqa: S101  # `create_engine` made it
    return DatabaseLoad(
        waiting_changes=store.waiting, connections_in_use=pool.checkedout(), connections_idle=pool.checkedin()
    )
