"""What the database has of one user beside the row, for `users history` and `users erased`."""

from datetime import datetime
from typing import Any

from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres.failures import connected
from adapters.postgres.rows import to_milliseconds
from application.history.ports import DeadEvent, EndedSession, StoredTraces, WaitingEvent
from application.relay.lanes import LANES
from domain.user import UserId

# By the names of the values in `application.history.ports`.
_WAITING = text("""
    SELECT version, type, occurred_at, payload, traceparent, created_at AS stored_at, lane < 0 AS state_only
    FROM outbox WHERE key = :user_id ORDER BY version
""")
_DEAD = text("""
    SELECT version, type, occurred_at, payload, traceparent, created_at AS stored_at, id, error, died_at, discarded_at
    FROM outbox_dead WHERE key = :user_id ORDER BY version
""")
_ENDED = text("""
    SELECT session_id AS id, revoked_at, recorded_at FROM revoked_session WHERE user_id = :user_id ORDER BY session_id
""")
# Their key is the session's id, and `revoked_session` forgets it after an hour.
_OF_SESSIONS = "lane >= :lanes AND position(CAST(:mention AS bytea) IN payload) > 0"
_WAITING_SESSIONS = text(f"SELECT count(*) FROM outbox WHERE {_OF_SESSIONS}")  # noqa: S608  # a condition of ours
_DEAD_SESSIONS = text(f"SELECT count(*) FROM outbox_dead WHERE {_OF_SESSIONS}")  # noqa: S608  # a condition of ours


class PostgresStoredTraces:
    """`StoredTracesReader` on PostgreSQL."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def of_user(self, user_id: UserId) -> StoredTraces:
        async with connected(self._engine) as connection:
            # Otherwise a dead letter that is retried meanwhile could be in neither table.
            await connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")

            async def rows(statement: TextClause) -> list[dict[str, Any]]:
                found = (await connection.execute(statement, {"user_id": user_id})).mappings()
                return [{name: _in_ms(value) for name, value in row.items()} for row in found]

            async def count(statement: TextClause) -> int:
                asked = {"lanes": LANES, "mention": f'"{user_id}"'.encode()}
                return int((await connection.execute(statement, asked)).scalar_one())

            return StoredTraces(
                waiting=[WaitingEvent(**row) for row in await rows(_WAITING)],
                dead=[DeadEvent(**row) for row in await rows(_DEAD)],
                sessions=[EndedSession(**row) for row in await rows(_ENDED)],
                waiting_sessions=await count(_WAITING_SESSIONS),
                dead_sessions=await count(_DEAD_SESSIONS),
            )


def _in_ms(value: Any) -> Any:
    return to_milliseconds(value) if isinstance(value, datetime) else value
