"""Users for the state topic alone: rows of the outbox in lanes of their own."""

from collections.abc import Sequence

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres.failures import connected
from adapters.postgres.rows import user_from
from adapters.postgres.statements import STORE_EVENTS, USER_NAMES, event_row, rows_in_json
from application.relay.lanes import lane_of
from application.relay.messages import Encode
from application.relay.state_topic import fill_lane
from domain.events import UserDeleted, UserUpdated
from domain.user import Tombstone, User, UserId

_PAGE = text(f"SELECT {USER_NAMES} FROM users WHERE id > :after ORDER BY id LIMIT :limit")  # noqa: S608
# If an event of this version waits, it brings the state along.
_PUT = text(f"{STORE_EVENTS} ON CONFLICT (key, version) DO NOTHING")
_WAITING = text("SELECT count(*) FROM outbox WHERE lane < 0")


class PostgresStateFill:
    """`StateFill` on PostgreSQL."""

    def __init__(self, engine: AsyncEngine, encode: Encode) -> None:
        self._engine = engine
        self._encode = encode

    async def put(self, after: UserId | None, limit: int) -> Sequence[UserId]:
        # One transaction, which a failover ends: the next primary may not have what was read here, and gives the same
        # versions to other content (ADR 0041).
        async with connected(self._engine) as connection:
            rows = (await connection.execute(_PAGE, {"after": after or "", "limit": limit})).mappings()
            page = [user_from(dict(row)) for row in rows]
            if page:
                await connection.execute(_PUT, {"events": rows_in_json([self._row(user) for user in page])})
        return [user.id for user in page]

    async def waiting(self) -> int:
        async with connected(self._engine) as connection:
            return int((await connection.execute(_WAITING)).scalar_one())

    def _row(self, user: User | Tombstone) -> dict[str, object]:
        message = self._encode(UserDeleted(user) if isinstance(user, Tombstone) else UserUpdated(user, ()), None)
        return event_row(message, fill_lane(lane_of(message.key)))
