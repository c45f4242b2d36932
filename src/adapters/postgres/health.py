"""Whether the database answers and is the one this version expects."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres.faults import connected


async def check_database(engine: AsyncEngine) -> None:
    """Ask the users table for nothing: that needs the connection, the rights and the migrated schema.

    Raises:
        StoreUnavailableError: it does not answer.
    """
    async with connected(engine) as connection:
        await connection.execute(text("SELECT FROM users LIMIT 0"))
