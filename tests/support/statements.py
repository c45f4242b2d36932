"""What reaches PostgreSQL: every statement of an engine's connections, whoever executes it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from asyncpg.connection import LoggedQuery
from sqlalchemy import event
from sqlalchemy.engine.interfaces import AdaptedConnection
from sqlalchemy.ext.asyncio import AsyncEngine

# What each new connection is asked once: by asyncpg for the types that it meets, and for the standby (`driver.py`).
_ONCE = ("typeinfo_tree", "set_config('jit'", "pg_logical_emit_message")


@asynccontextmanager
async def statements(engine: AsyncEngine) -> AsyncIterator[list[str]]:
    """Note the statements executed on connections that are taken from the pool meanwhile."""
    seen: list[str] = []
    watched: set[Any] = set()

    def note(query: LoggedQuery) -> None:
        if not any(mark in query.query for mark in _ONCE):
            seen.append(query.query)

    def watch(connection: AdaptedConnection, _record: object, _proxy: object) -> None:
        if connection.driver_connection not in watched:
            watched.add(connection.driver_connection)
            connection.driver_connection.add_query_logger(note)

    event.listen(engine.sync_engine, "checkout", watch)
    try:
        yield seen
        await asyncio.sleep(0)  # asyncpg tells in the next turn of the loop
    finally:
        event.remove(engine.sync_engine, "checkout", watch)
        for connection in watched:
            connection.remove_query_logger(note)
