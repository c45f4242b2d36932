"""Our living users by the time of their creation, read by the thousand."""

from collections.abc import Sequence

from sqlalchemy import func, select, tuple_, union_all
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres.failures import connected
from adapters.postgres.rows import to_datetime, to_milliseconds
from adapters.postgres.tables import users
from application.reconcile.drift import CreationKey
from domain.user import UserId

_OLDEST, _NEWEST = 5, 5

_living = users.c.deleted_at.is_(None)
_marks = select(users.c.created_at, users.c.id).where(_living).order_by(users.c.created_at, users.c.id)
_COUNT = select(func.count()).select_from(users).where(_living)
_SAMPLE = union_all(
    _marks.limit(_OLDEST).subquery().select(),
    select(users.c.created_at, users.c.id)
    .where(_living)
    .order_by(users.c.created_at.desc(), users.c.id.desc())
    .limit(_NEWEST)
    .subquery()
    .select(),
)


class PostgresLivingUsers:
    """`LivingUsers` on PostgreSQL, by `users_created_at_idx`."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def created(self, after: CreationKey, before: int, limit: int) -> Sequence[CreationKey]:
        statement = _marks.where(
            tuple_(users.c.created_at, users.c.id) > tuple_(to_datetime(after.created_at), after.user_id),
            users.c.created_at < to_datetime(before),
        ).limit(limit)
        async with connected(self._engine) as connection:
            rows = (await connection.execute(statement)).all()
        return [CreationKey(to_milliseconds(created_at), UserId(user_id)) for created_at, user_id in rows]

    async def count(self) -> int:
        async with connected(self._engine) as connection:
            return (await connection.execute(_COUNT)).scalar_one()

    async def sample(self) -> Sequence[UserId]:
        async with connected(self._engine) as connection:
            rows = (await connection.execute(_SAMPLE)).all()
        return list(dict.fromkeys(UserId(row.id) for row in rows))
