"""Revoked sessions: written with their event in one statement for a batch, and removed when no token can name them."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, TypeAlias

from sqlalchemy import ARRAY, DateTime, Interval, Text, any_, bindparam, cast, delete, func, literal, null, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres.asyncpg_execution import Compiled, directly
from adapters.postgres.failures import connected
from adapters.postgres.group_commit import Change, GroupCommit
from adapters.postgres.rows import to_datetime, to_milliseconds
from adapters.postgres.statements import EVENT_COLUMNS, event_row, rows_of
from adapters.postgres.tables import outbox, revoked_session
from application.relay.lanes import session_lane
from application.relay.messages import Encode
from application.sessions.ports import Decide
from domain.revoke_session import SessionDecision
from domain.session import RevokedSession, SessionId
from domain.user import UserId

_Key: TypeAlias = tuple[SessionId, UserId]
_Change: TypeAlias = Change[_Key, RevokedSession | None, SessionDecision]

REMOVED_AT_ONCE = timedelta(seconds=10)
"""Sessions recorded within this time of the oldest are removed by one statement: 10,000 rows of a flood of 1,000/s."""

_COLUMNS = [revoked_session.c.session_id, revoked_session.c.user_id, revoked_session.c.revoked_at]
_news = rows_of("news", revoked_session, _COLUMNS)
_events = rows_of("event", outbox, EVENT_COLUMNS)
_stored = (
    insert(revoked_session)
    .from_select(_COLUMNS, select(*(_news.c[c.name] for c in _COLUMNS)))
    .on_conflict_do_nothing()
    .returning(revoked_session.c.session_id, revoked_session.c.user_id)
    .cte("stored")
)
_queued = (
    insert(outbox)
    .from_select(
        EVENT_COLUMNS,
        select(*(_events.c[c.name] for c in EVENT_COLUMNS)).join_from(
            _events, _stored, _stored.c.session_id == _events.c.key
        ),
    )
    # The session was forgotten, is told of again, and its event has waited for a broker all the time.
    .on_conflict_do_nothing()
    .cte("queued")
)
# Without a time: stored by this statement. With one: it was there before.
_WRITE = Compiled(
    select(_stored.c.session_id, _stored.c.user_id, cast(null(), DateTime(timezone=True)).label("revoked_at"))
    .union_all(
        select(*_COLUMNS).where(
            revoked_session.c.session_id == any_(bindparam("session_ids", type_=ARRAY(Text))),
            revoked_session.c.user_id == any_(bindparam("revoked_session_user_id", type_=ARRAY(Text))),
        )
    )
    .add_cte(_queued)
)

_recorded_at = revoked_session.c.recorded_at
_FORGET = delete(revoked_session).where(
    _recorded_at
    < func.least(
        func.now() - bindparam("age", type_=Interval),
        select(func.min(_recorded_at)).scalar_subquery() + literal(REMOVED_AT_ONCE, Interval),
    )
)


class PostgresSessionStore:
    """`SessionStore` on PostgreSQL.

    A revoked session never changes, so nothing is read first: the decision on an unknown session is written unless
    there is one, and what is there answers the rest.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        encode: Encode,
        on_commit: Callable[[], None],
        around_batch: Callable[[Sequence[Any]], contextlib.AbstractContextManager[None]] = (
            lambda _: contextlib.nullcontext()
        ),
    ) -> None:
        """`on_commit` is called after a COMMIT that stored events, and must not block."""
        self._engine = engine
        self._encode = encode
        self._on_commit = on_commit
        self._around_batch = around_batch
        self._commits: GroupCommit[_Key, RevokedSession | None, SessionDecision] = GroupCommit(
            self._attempt, name="session-store-writer"
        )

    async def start(self) -> None:
        self._commits.start()

    async def aclose(self) -> None:
        """Finish what waits, bounded by the statement timeout, then stop."""
        await self._commits.aclose()

    async def change(self, user_id: UserId, session_id: SessionId, decide: Decide) -> SessionDecision:
        """See `SessionStore.change`."""
        return await self._commits.change((session_id, user_id), decide)

    async def _attempt(self, batch: Sequence[_Change]) -> None:
        """Write what is decided on unknown sessions; a change without an answer afterwards lost a race."""
        # One order in every process, so that two batches can wait for each other but never in a circle.
        first = {change: change.decide(None) for change in sorted(batch, key=lambda change: change.key)}
        sessions = [decision.session for decision in first.values()]
        events = [
            row | {"lane": session_lane(row["lane"])}
            for change, decision in first.items()
            for event in decision.events
            for row in [event_row(self._encode(event, change.traceparent))]
        ]
        ids = [session.id for session in sessions]
        parameters: dict[str, Any] = {
            "session_ids": ids,
            "revoked_session_session_id": ids,
            "revoked_session_user_id": [session.user_id for session in sessions],
            "revoked_session_revoked_at": [to_datetime(session.revoked_at) for session in sessions],
        } | {f"outbox_{c.name}": [event[c.name] for event in events] for c in EVENT_COLUMNS}
        with self._around_batch(batch):
            async with directly(self._engine, commits=True) as driver:
                rows = await _WRITE.fetch(driver, parameters)
        # Where tables are distributed, what was there before is read last, and has what was just stored as well.
        found = {(row["session_id"], row["user_id"]): row["revoked_at"] for row in reversed(rows)}
        if None in found.values():
            self._on_commit()
            await asyncio.sleep(0)  # a turn of the loop for the wake-up to leave before answers are composed
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
        """See `SessionCleaner.forget`."""
        async with connected(self._engine) as connection:
            return (await connection.execute(_FORGET, {"age": timedelta(milliseconds=after_ms)})).rowcount
