"""Revoked sessions: a batch is written with its events in one statement, and removed when all tokens are expired."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from typing import Any, TypeAlias

from attrs import define, field
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres.asyncpg_execution import Compiled, directly
from adapters.postgres.failures import connected
from adapters.postgres.group_commit import Change, GroupCommit
from adapters.postgres.rows import to_datetime, to_milliseconds
from adapters.postgres.statements import STORE_EVENTS, event_row, rows_in_json
from application.relay.lanes import lane_of, session_lane
from application.relay.messages import Encode
from application.sessions.ports import Decide
from domain.revoke_session import SessionDecision
from domain.session import RevokedSession, SessionId
from domain.user import UserId

_Key: TypeAlias = tuple[SessionId, UserId]
_Change: TypeAlias = Change[_Key, RevokedSession | None, SessionDecision]

REMOVED_AT_ONCE = timedelta(seconds=10)
"""Sessions recorded within this time of the oldest are removed by one statement: 10,000 rows of a flood of 1,000/s."""

# Without a time: stored by this statement. With one: it existed before. An event that is in the outbox already is of a
# session that was removed and revoked again while the event waited for a broker.
_WRITE = Compiled(f"""
    WITH stored AS (
        INSERT INTO revoked_session (session_id, user_id, revoked_at)
        SELECT news.session_id, news.user_id, news.revoked_at
        FROM unnest(CAST(:ids AS text[]), CAST(:user_ids AS text[]), CAST(:times AS timestamptz[]))
            AS news (session_id, user_id, revoked_at)
        ON CONFLICT DO NOTHING
        RETURNING session_id, user_id
    ), queued AS (
        {STORE_EVENTS} JOIN stored ON stored.session_id = event.key ON CONFLICT DO NOTHING
    )
    SELECT session_id, user_id, CAST(NULL AS timestamptz) AS revoked_at FROM stored
    UNION ALL
    SELECT session_id, user_id, revoked_at FROM revoked_session
    WHERE user_id = ANY (:user_ids) AND session_id = ANY (:ids)
""")  # noqa: S608  # column names of ours

_FORGET = text("""
    DELETE FROM revoked_session
    WHERE recorded_at < least(now() - CAST(:age AS interval),
                              (SELECT min(recorded_at) FROM revoked_session) + CAST(:at_once AS interval))
""")


@define(eq=False)
class PostgresSessionStore:
    """`SessionStore` on PostgreSQL.

    A revoked session never changes, so nothing is read first: the decision on an unknown session is inserted unless it
    exists, and existing rows answer the rest.
    """

    _engine: AsyncEngine
    _encode: Encode
    _on_commit: Callable[[int], None]  # called after a COMMIT that stored events, with their number; must not block
    _around_batch: Callable[[Sequence[Any]], AbstractContextManager[None]] = lambda _: nullcontext()
    _commits: GroupCommit[_Key, RevokedSession | None, SessionDecision] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._commits = GroupCommit(self._attempt, name="session-store-writer")

    async def start(self) -> None:
        self._commits.start()

    async def aclose(self) -> None:
        await self._commits.aclose()

    async def change(self, user_id: UserId, session_id: SessionId, decide: Decide) -> SessionDecision:
        return await self._commits.change((session_id, user_id), decide)

    async def _attempt(self, batch: Sequence[_Change]) -> None:
        """Write what is decided on unknown sessions; a change without an answer afterwards lost a race."""
        # The same order in every process, so that batches cannot deadlock.
        first = {change: change.decide(None) for change in sorted(batch, key=lambda change: change.key)}
        sessions = [decision.session for decision in first.values()]
        events = [
            event_row(message, session_lane(lane_of(message.key)))
            for change, decision in first.items()
            for message in [self._encode(event, change.traceparent) for event in decision.events]
        ]
        parameters = {
            "events": rows_in_json(events),
            "ids": [session.id for session in sessions],
            "user_ids": [session.user_id for session in sessions],
            "times": [to_datetime(session.revoked_at) for session in sessions],
        }
        with self._around_batch(batch):
            async with directly(self._engine, commits=True) as driver:
                rows = await _WRITE.fetch(driver, parameters)
        # With distributed tables the last part also returns rows that were just stored.
        found = {(row["session_id"], row["user_id"]): row["revoked_at"] for row in reversed(rows)}
        if new := list(found.values()).count(None):
            self._on_commit(new)
            await asyncio.sleep(0)  # one turn of the loop, so that the notification is sent before answers are composed
        for change in batch:
            if change.key not in found:
                continue  # another process is storing it at this moment
            session_id, user_id = change.key
            at = found[change.key]
            known = at and RevokedSession(id=session_id, user_id=user_id, revoked_at=to_milliseconds(at))
            change.answer.give(change.decide(known) if known else first[change])


class PostgresSessionCleaner:
    """`SessionCleaner` on PostgreSQL."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def forget(self, *, after_ms: int) -> int:
        async with connected(self._engine) as connection:
            ages = {"age": timedelta(milliseconds=after_ms), "at_once": REMOVED_AT_ONCE}
            return (await connection.execute(_FORGET, ages)).rowcount
