"""Users for the state topic alone: rows of the outbox in lanes of their own."""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres.asyncpg_execution import Compiled
from adapters.postgres.failures import fetched
from adapters.postgres.rows import user_from
from adapters.postgres.statements import STORE_EVENTS, USER_NAMES, event_row, rows_in_json
from application.relay.lanes import lane_of
from application.relay.messages import Encode
from application.relay.state_topic import fill_lane
from domain.events import UserDeleted, UserUpdated
from domain.user import Tombstone, User, UserId

_PAGE = Compiled(f"SELECT {USER_NAMES} FROM users WHERE id > :after ORDER BY id LIMIT :limit")  # noqa: S608
# If an event of this version waits, it brings the state along.
_PUT = Compiled(f"{STORE_EVENTS} ON CONFLICT (key, version) DO NOTHING")
_WAITING = Compiled("SELECT count(*) FROM outbox WHERE lane < 0")


class PostgresStateFill:
    """`StateFill` on PostgreSQL."""

    def __init__(self, engine: AsyncEngine, encode: Encode) -> None:
        self._engine = engine
        self._encode = encode

    async def put(self, after: UserId | None, limit: int) -> Sequence[UserId]:
        rows = await fetched(self._engine, _PAGE, {"after": after or "", "limit": limit})
        page = [user_from(row) for row in rows]
        if page:
            await fetched(self._engine, _PUT, {"events": rows_in_json([self._row(user) for user in page])})
        return [user.id for user in page]

    async def waiting(self) -> int:
        return int((await fetched(self._engine, _WAITING, {}))[0]["count"])

    def _row(self, user: User | Tombstone) -> dict[str, object]:
        message = self._encode(UserDeleted(user) if isinstance(user, Tombstone) else UserUpdated(user, ()), None)
        return event_row(message, fill_lane(lane_of(message.key)))
