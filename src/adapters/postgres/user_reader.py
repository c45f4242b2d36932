"""The read path: one user by id."""

from sqlalchemy import bindparam, select
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres.faults import DATABASE_ERRORS, code_of
from adapters.postgres.rows import user_from
from adapters.postgres.tables import users
from application.errors import StoreUnavailableError
from domain.user import Known, UserId

_READ = select(users).where(users.c.id == bindparam("id"))


class PostgresUserReader:
    """`UserReader` on PostgreSQL: one statement, outside any transaction."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def get(self, user_id: UserId) -> Known:
        """See `UserReader.get`."""
        try:
            async with self._engine.begin() as connection:
                row = (await connection.execute(_READ, {"id": user_id})).mappings().one_or_none()
        except DATABASE_ERRORS as error:
            raise StoreUnavailableError(f"PostgreSQL did not answer ({code_of(error)})") from None
        return None if row is None else user_from(row)
