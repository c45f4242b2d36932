"""What the database has of one user beside the row, for `users history` and `users erased`."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres.failures import connected
from adapters.postgres.rows import to_milliseconds
from adapters.postgres.tables import outbox, outbox_dead, revoked_session
from application.history.ports import DeadEvent, EndedSession, StoredTraces, WaitingEvent
from domain.user import UserId


class PostgresStoredTraces:
    """`StoredTracesReader` on PostgreSQL."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def of_user(self, user_id: UserId) -> StoredTraces:
        waiting = select(outbox).where(outbox.c.key == user_id).order_by(outbox.c.version)
        dead = select(outbox_dead).where(outbox_dead.c.key == user_id).order_by(outbox_dead.c.version)
        ended = (
            select(revoked_session).where(revoked_session.c.user_id == user_id).order_by(revoked_session.c.session_id)
        )
        async with connected(self._engine) as connection:
            # Otherwise a dead letter that is retried meanwhile could be in neither table.
            await connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")

            async def rows(statement: Select[Any]) -> list[dict[str, Any]]:
                return [dict(row) for row in (await connection.execute(statement)).mappings()]

            return StoredTraces(
                waiting=[WaitingEvent(**_event(row), state_only=row["lane"] < 0) for row in await rows(waiting)],
                dead=[
                    DeadEvent(
                        **_event(row),
                        id=row["id"],
                        error=row["error"],
                        died_at=to_milliseconds(row["died_at"]),
                        discarded_at=_optional(row["discarded_at"]),
                    )
                    for row in await rows(dead)
                ],
                sessions=[
                    EndedSession(
                        id=row["session_id"],
                        revoked_at=to_milliseconds(row["revoked_at"]),
                        recorded_at=to_milliseconds(row["recorded_at"]),
                    )
                    for row in await rows(ended)
                ],
            )


def _event(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "version": row["version"],
        "type": row["type"],
        "occurred_at": to_milliseconds(row["occurred_at"]),
        "payload": row["payload"],
        "traceparent": row["traceparent"],
        "stored_at": to_milliseconds(row["created_at"]),
    }


def _optional(moment: datetime | None) -> int | None:
    return None if moment is None else to_milliseconds(moment)
