"""Many users at a time: by id, by email, and page by page in the order of their ids or of their creation."""

from collections.abc import Collection, Mapping, Sequence

from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres.asyncpg_execution import Compiled
from adapters.postgres.failures import fetched
from adapters.postgres.rows import to_datetime, to_milliseconds, user_from
from adapters.postgres.statements import BEHIND_S, READ, USER_NAMES
from application.users.ports import CreationKey
from domain.user import Tombstone, User, UserId


# Materialized: with ORDER BY and LIMIT in one query the planner reads the table in the order of ids, expecting to find
# enough rows soon (1.5 s for a million users).
def _by_email(columns: str) -> Compiled:
    return Compiled(f"""
        WITH found AS MATERIALIZED (SELECT {USER_NAMES} FROM users WHERE lower(email) = lower(:email))
        SELECT {columns} FROM found ORDER BY id LIMIT :limit
    """)  # noqa: S608  # column names of ours


BY_EMAIL, BY_EMAIL_AT_REPLICA = _by_email(USER_NAMES), _by_email(f"{USER_NAMES}, {BEHIND_S}")
# Not `deleted_at IS NULL`: for it the planner reads the whole index by time of creation for each page.
PAGE = Compiled(f"""
    SELECT {USER_NAMES} FROM users
    WHERE id > :after AND coalesce(deleted_at, 'infinity') = 'infinity'
      AND (CAST(:banned AS boolean) IS NULL OR banned = CAST(:banned AS boolean))
      AND (CAST(:locked AS boolean) IS NULL OR locked = CAST(:locked AS boolean))
    ORDER BY id LIMIT :limit
""")  # noqa: S608  # column names of ours
_CREATED = Compiled("""
    SELECT created_at, id FROM users
    WHERE deleted_at IS NULL AND (created_at, id) > (:created_at, :id) AND created_at < :before
    ORDER BY created_at, id LIMIT :limit
""")
_COUNT = Compiled("SELECT count(*) FROM users WHERE deleted_at IS NULL")
_SAMPLE = Compiled("""
    (SELECT id FROM users WHERE deleted_at IS NULL ORDER BY created_at, id LIMIT 5)
    UNION ALL
    (SELECT id FROM users WHERE deleted_at IS NULL ORDER BY created_at DESC, id DESC LIMIT 5)
""")


class PostgresUserDirectory:
    """`UserDirectory` on PostgreSQL: one statement a call."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def get_many(self, user_ids: Collection[UserId]) -> Mapping[UserId, User | Tombstone]:
        return {user.id: user for user in await self._all(READ, ids=list(user_ids))}

    async def by_email(self, email: str, *, limit: int) -> Sequence[User]:
        if not storable(email):
            return []
        return living(await self._all(BY_EMAIL, email=email, limit=limit))

    async def page(
        self, *, after: UserId | None, limit: int, banned: bool | None = None, locked: bool | None = None
    ) -> Sequence[User]:
        return living(await self._all(PAGE, after=after or "", limit=limit, banned=banned, locked=locked))

    async def created(self, after: CreationKey, before: int, limit: int) -> Sequence[CreationKey]:
        span = {"created_at": to_datetime(after.created_at), "id": after.user_id, "before": to_datetime(before)}
        rows = await fetched(self._engine, _CREATED, {**span, "limit": limit})
        return [CreationKey(to_milliseconds(row["created_at"]), UserId(row["id"])) for row in rows]

    async def count(self) -> int:
        return int((await fetched(self._engine, _COUNT, {}))[0]["count"])

    async def sample(self) -> Sequence[UserId]:
        return list(dict.fromkeys(UserId(row["id"]) for row in await fetched(self._engine, _SAMPLE, {})))

    async def _all(self, statement: Compiled, **parameters: object) -> list[User | Tombstone]:
        return [user_from(row) for row in await fetched(self._engine, statement, parameters)]


def storable(text: str) -> bool:
    """Whether a text column can contain it; PostgreSQL refuses other texts as parameters."""
    return "\0" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


def living(found: Sequence[User | Tombstone]) -> list[User]:
    """For mypy: a tombstone has no email and is in no page, so all are users."""
    return [user for user in found if isinstance(user, User)]
