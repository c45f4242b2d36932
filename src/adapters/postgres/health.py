"""Whether the database answers and is the one this version expects."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres.faults import DATABASE_ERRORS, code_of
from application.errors import StoreUnavailableError


async def check_database(engine: AsyncEngine) -> None:
    """Ask the users table for nothing: that needs the connection, the rights and the migrated schema.

    Raises:
        StoreUnavailableError: it does not answer.
    """
    try:
        async with engine.begin() as connection:
            await connection.execute(text("SELECT FROM users LIMIT 0"))
    except DATABASE_ERRORS as error:
        raise StoreUnavailableError(f"PostgreSQL does not answer, or is not migrated ({code_of(error)})") from None
