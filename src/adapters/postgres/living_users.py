"""Our living users by the time of their creation, read by the thousand."""

from collections.abc import Sequence

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres.failures import connected
from adapters.postgres.rows import to_datetime, to_milliseconds
from application.reconcile.ports import CreationKey
from domain.user import UserId

_CREATED = text("""
    SELECT created_at, id FROM users
    WHERE deleted_at IS NULL AND (created_at, id) > (:created_at, :id) AND created_at < :before
    ORDER BY created_at, id LIMIT :limit
""")
_COUNT = text("SELECT count(*) FROM users WHERE deleted_at IS NULL")
_SAMPLE = text("""
    (SELECT id FROM users WHERE deleted_at IS NULL ORDER BY created_at, id LIMIT 5)
    UNION ALL
    (SELECT id FROM users WHERE deleted_at IS NULL ORDER BY created_at DESC, id DESC LIMIT 5)
""")


class PostgresLivingUsers:
    """`LivingUsers` on PostgreSQL, by `users_created_at_idx`."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def created(self, after: CreationKey, before: int, limit: int) -> Sequence[CreationKey]:
        span = {"created_at": to_datetime(after.created_at), "id": after.user_id, "before": to_datetime(before)}
        async with connected(self._engine) as connection:
            rows = (await connection.execute(_CREATED, {**span, "limit": limit})).all()
        return [CreationKey(to_milliseconds(created_at), UserId(user_id)) for created_at, user_id in rows]

    async def count(self) -> int:
        async with connected(self._engine) as connection:
            return int((await connection.execute(_COUNT)).scalar_one())

    async def sample(self) -> Sequence[UserId]:
        async with connected(self._engine) as connection:
            return list(dict.fromkeys((await connection.execute(_SAMPLE)).scalars()))
