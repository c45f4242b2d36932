"""The statements behind every read and write: read a batch of users, write a batch with their events."""

from collections.abc import Collection, Iterable, Sequence
from operator import itemgetter
from typing import Any

import asyncpg
import msgspec
import sqlalchemy as sa
from attrs import frozen
from sqlalchemy.dialects.postgresql.asyncpg import dialect

from adapters.postgres.asyncpg_execution import Compiled, Row
from adapters.postgres.connection.dial import Driver
from adapters.postgres.rows import row_from, to_datetime, user_again_from, user_from
from adapters.postgres.tables import outbox, users
from application.relay.lanes import lane_of
from application.relay.messages import OutboxMessage
from domain.session import SessionId
from domain.user import Tombstone, User, UserId


@frozen
class Stored:
    """A user as read, with the revision that a write must still find."""

    user: User | Tombstone
    revision: int


@frozen
class Write:
    """A user's new row and its events, ready to be sent."""

    user_id: UserId
    row: dict[str, Any]
    events: tuple[dict[str, Any], ...]

    @classmethod
    def of(cls, user: User | Tombstone, revision: int, messages: Iterable[OutboxMessage]) -> "Write":
        """`revision` is the new one: the row must still be at the one before.

        Raises:
            UnicodeError: a text that no encoding can carry, or with U+0000, which PostgreSQL has in no text.
        """
        events = tuple(event_row(message, lane_of(message.key)) for message in messages)
        row = row_from(user, revision=revision)
        # PostgreSQL's own error has the code of a database that is not in UTF-8: it would not tell whose fault it is.
        if b"\0" in "".join(filter(None, _texts(row))).encode():
            raise UnicodeError
        return cls(user.id, row, events)


_TEXTS = sa.JSON, sa.LargeBinary  # in `rows_in_json`


def rows_of(record: str, columns: Iterable[sa.Column[Any]], text: str) -> str:
    """Return the rows in a text that `rows_in_json` made, as records of this name (ADR 0036)."""
    types = ["text" if isinstance(c.type, _TEXTS) else c.type.compile(dialect=dialect()) for c in columns]  # type: ignore[no-untyped-call]
    declared = ", ".join(f"{c.name} {kind}" for c, kind in zip(columns, types, strict=True))
    return f"json_to_recordset(CAST(CAST({text} AS text) AS json)) AS {record} ({declared})"


def _value(record: str, column: sa.Column[Any]) -> str:
    name = f"{record}.{column.name}"
    if isinstance(column.type, sa.LargeBinary):
        return f"decode({name}, 'base64')"
    return f"{name}::json" if isinstance(column.type, sa.JSON) else name


def rows_in_json(rows: Sequence[dict[str, Any]]) -> str:
    return msgspec.json.encode(rows).decode()


CHANNEL = "outbox_wake"
"""What relays listen to."""

USER_COLUMNS = list(users.c)
EVENT_COLUMNS = [
    outbox.c[name] for name in ("key", "version", "lane", "event_id", "type", "occurred_at", "payload", "traceparent")
]
USER_NAMES, EVENT_NAMES = ", ".join(c.name for c in USER_COLUMNS), ", ".join(c.name for c in EVENT_COLUMNS)
_texts = itemgetter(*(c.name for c in USER_COLUMNS if isinstance(c.type, sa.Text)))

CHANGES, EVENTS = rows_of("change", USER_COLUMNS, ":users"), rows_of("event", EVENT_COLUMNS, ":events")
USER_VALUES = ", ".join(_value("change", c) for c in USER_COLUMNS)
EVENT_VALUES = ", ".join(_value("event", c) for c in EVENT_COLUMNS)
STORE_EVENTS = f"INSERT INTO outbox ({EVENT_NAMES}) SELECT {EVENT_VALUES} FROM {EVENTS}"  # noqa: S608  # names of ours
# The row must be the one that the decision was made on; a row that is not returned lost a race.
UPSERT = f"""
    ON CONFLICT (id) DO UPDATE SET {", ".join(f"{c.name} = EXCLUDED.{c.name}" for c in USER_COLUMNS if c.name != "id")}
    WHERE kept.revision = EXCLUDED.revision - 1 RETURNING id, deleted_at
"""


# The events are selected from what the upsert returned: their ids are drawn after the user's row is locked.
# A deletion erases the payloads of the user's dead letters.
def _write(columns: str) -> Compiled:
    statement = f"""
        WITH stored AS (
            INSERT INTO users AS kept ({USER_NAMES})
            SELECT {USER_VALUES} FROM {CHANGES}
            {UPSERT}
        ), queued AS (
            {STORE_EVENTS} JOIN stored ON stored.id = event.key
        ), erased AS (
            UPDATE outbox_dead SET payload = NULL FROM stored
            WHERE outbox_dead.key = stored.id AND stored.deleted_at IS NOT NULL
        )
        SELECT {columns} FROM stored
    """  # noqa: S608  # column names of ours
    return Compiled(statement)


WRITE, WRITE_AND_NOTIFY = _write("id"), _write(f"id, pg_notify('{CHANNEL}', '')")
READ = Compiled(f"SELECT {USER_NAMES} FROM users WHERE id = ANY (CAST(:ids AS text[]))")  # noqa: S608  # names of ours


# At least one row, also if no user is known; each row has all revoked sessions of the batch, mostly none.
def _with_sessions(columns: str) -> Compiled:
    return Compiled(f"""
        SELECT {columns} FROM (
            SELECT array_agg(session_id) AS revoked FROM revoked_session
            WHERE session_id = ANY (CAST(:sessions AS text[])) AND revoked_session.user_id = ANY (CAST(:ids AS text[]))
        ) AS ended LEFT JOIN users ON users.id = ANY (CAST(:ids AS text[]))
    """)  # noqa: S608  # column names of ours


READ_WITH_SESSIONS = _with_sessions(f"{USER_NAMES}, revoked")
# The age of the last commit that was replayed, so it grows while the primary is idle: replica.py makes a commit then.
# Null where nothing is replayed: at a primary, or since the standby's start.
BEHIND_S = """(
    SELECT CASE WHEN pg_is_in_recovery()
                THEN extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())::float8 END
) AS behind_s"""
READ_AT_REPLICA = _with_sessions(f"{USER_NAMES}, revoked, {BEHIND_S}")
"""`READ_WITH_SESSIONS`, and how far behind the server was."""

# A new users table has no statistics, and a connection would keep the plan of a sequential scan: 5 ms a batch with
# 30,000 users, 0.02 ms by the index. Joins are not restricted: a batch is joined with its own events.
BY_KEY = {
    **dict.fromkeys(("enable_seqscan", "enable_bitmapscan"), "off"),
    # For arrays of unknown length a generic plan looks more expensive, so each read was planned again: 0.09 of 0.2 ms.
    "plan_cache_mode": "force_generic_plan",
}
"""Server settings of the connections that read and write users."""


async def read(driver: Driver, ids: Collection[UserId]) -> dict[UserId, Stored]:
    """Read the committed state of these users; unknown ones are missing in the result."""
    return stored_from(await READ.fetch(driver, {"ids": list(ids)}))


def stored_from(rows: Iterable[Row]) -> dict[UserId, Stored]:
    return {row["id"]: Stored(user_from(row), row["revision"]) for row in rows}


async def read_with_sessions(
    driver: Driver,
    ids: Collection[UserId],
    sessions: Collection[SessionId],
    statement: Compiled = READ_WITH_SESSIONS,
) -> tuple[dict[UserId, User | Tombstone], frozenset[SessionId], float | None]:
    """Read these users, the revoked ones of these sessions, and how far behind the server is, from one snapshot."""
    rows = await statement.fetch(driver, {"ids": list(ids), "sessions": list(sessions)})
    known = {row["id"]: user_again_from(row) for row in rows if row["id"]}
    return known, frozenset(rows[0]["revoked"] or ()), rows[0].get("behind_s", 0.0)


async def write(driver: Driver, writes: Sequence[Write], statement: Compiled = WRITE) -> set[UserId]:
    """Store all of them in one statement, hence at one moment, and return who was stored.

    The others lost a race against another process and left no trace. `statement` is `WRITE` or `WRITE_AND_NOTIFY`.
    """
    return {row["id"] for row in await statement.fetch(driver, in_json(writes))}


async def write_and_notify(driver: Driver, writes: Sequence[Write]) -> set[UserId]:
    """Do as `write`, and notify relays with the same COMMIT (ADR 0035)."""
    try:
        return await write(driver, writes, WRITE_AND_NOTIFY)
    except asyncpg.ProgramLimitExceededError:  # the server's queue of notifications is full: a listener reads none
        return await write(driver, writes)


def in_json(writes: Sequence[Write]) -> dict[str, str]:
    """Return the parameters of `CHANGES` and `EVENTS`, in one order in every process: no batches deadlock."""
    ordered = sorted(writes, key=lambda change: change.user_id)
    return {
        "users": rows_in_json([change.row for change in ordered]),
        "events": rows_in_json([event for change in ordered for event in change.events]),
    }


def event_row(message: OutboxMessage, lane: int) -> dict[str, Any]:
    return {
        "key": message.key,
        "version": message.version,
        "lane": lane,
        "event_id": message.event_id,
        "type": message.type,
        "occurred_at": to_datetime(message.occurred_at),
        "payload": message.payload,
        "traceparent": message.traceparent,
    }
