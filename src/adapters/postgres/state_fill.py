"""Users on their way to the state topic alone: rows of the outbox in lanes of their own."""

from collections.abc import Sequence

from sqlalchemy import Integer, Text, bindparam, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres.failures import connected
from adapters.postgres.rows import user_from
from adapters.postgres.statements import EVENT_COLUMNS, event_row, rows_of
from adapters.postgres.tables import outbox, users
from application.relay.messages import Encode
from application.relay.state_topic import fill_lane
from domain.events import UserDeleted, UserUpdated
from domain.user import Tombstone, User, UserId

_PAGE = (
    select(users)
    .where(users.c.id > bindparam("after", type_=Text))
    .order_by(users.c.id)
    .limit(bindparam("limit", type_=Integer))
)
_events = rows_of("event", outbox, EVENT_COLUMNS)
_PUT = (
    insert(outbox)
    .from_select(EVENT_COLUMNS, select(*(_events.c[c.name] for c in EVENT_COLUMNS)))
    # An event of this very version waits: it brings the state along.
    .on_conflict_do_nothing(index_elements=[outbox.c.key, outbox.c.version])
)
_WAITING = select(func.count()).select_from(outbox).where(outbox.c.lane < 0)


class PostgresStateFill:
    """`StateFill` on PostgreSQL."""

    def __init__(self, engine: AsyncEngine, encode: Encode) -> None:
        self._engine = engine
        self._encode = encode

    async def put(self, after: UserId | None, limit: int) -> Sequence[UserId]:
        async with connected(self._engine) as connection:
            found = await connection.execute(_PAGE, {"after": after or "", "limit": limit})
            page = [user_from(dict(row)) for row in found.mappings()]
        if page:
            rows = [self._row(user) for user in page]
            async with connected(self._engine) as connection:
                await connection.execute(
                    _PUT, {f"outbox_{c.name}": [row[c.name] for row in rows] for c in EVENT_COLUMNS}
                )
        return [user.id for user in page]

    async def waiting(self) -> int:
        async with connected(self._engine) as connection:
            return (await connection.execute(_WAITING)).scalar_one()

    def _row(self, user: User | Tombstone) -> dict[str, object]:
        event = UserDeleted(user) if isinstance(user, Tombstone) else UserUpdated(user, ())
        row = event_row(self._encode(event, None))
        return row | {"lane": fill_lane(row["lane"])}
