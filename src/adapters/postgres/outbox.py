"""The outbox as a relay reads it: the oldest of each lane, deleted once published."""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from operator import itemgetter
from typing import Any

import asyncpg
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres.asyncpg_execution import Compiled, Row, directly
from adapters.postgres.connection.dial import Driver
from adapters.postgres.failures import code_of, connected, raised_as_unavailable
from adapters.postgres.rows import to_milliseconds
from adapters.postgres.tables import outbox, outbox_dead
from application.relay.messages import OutboxMessage, Pending, RefusedMessage
from application.relay.state_topic import for_state_only

_COLUMNS = ", ".join(c.name for c in outbox.c)


def _among_the_oldest(columns: str, where: str = "") -> str:
    """Select up to `limit` rows of these lanes, the earlier lanes and lower ids first.

    It is one index descent for each lane and stops at the limit: the cost depends neither on the backlog nor on the
    lanes of other relays. A cursor ("id greater than the last") would be cheaper and wrong: ids become visible out of
    order.
    """
    return f"""
        SELECT {columns} FROM unnest(CAST(:lanes AS smallint[])) AS mine (lane)
        JOIN LATERAL (
            SELECT {_COLUMNS} FROM outbox WHERE outbox.lane = mine.lane {where} ORDER BY outbox.id LIMIT :limit
        ) AS oldest ON true
        LIMIT :limit
    """  # noqa: S608  # column names of ours


_OLDEST = Compiled(_among_the_oldest("oldest.*"))
# Ids show which events have waited longest, not the order of versions: a sequence with a cache, one of several servers,
# or one that a restore set back gives a later version a lower id. For each user, as many events are returned as are
# among the oldest, but those with the lowest versions.
_LOWEST = Compiled(f"""
    WITH waiting AS ({_among_the_oldest("oldest.key")}),
    share AS (SELECT waiting.key, count(*) AS size FROM waiting GROUP BY waiting.key)
    SELECT lowest.* FROM share JOIN LATERAL (
        SELECT {_COLUMNS} FROM outbox
        WHERE outbox.key = share.key AND outbox.lane = ANY (CAST(:lanes AS smallint[]))
        ORDER BY outbox.version LIMIT share.size
    ) AS lowest ON true
""")  # noqa: S608  # column names of ours
# The same choice for distributed tables, where Citus refuses a LIMIT for each lane: a user's n-th oldest event is
# replaced by the n-th lowest version. All events of a user are on one server, which numbers them alone. What waits for
# the state topic alone comes last.
_LOWEST_OF_ALL_SERVERS = Compiled(f"""
    SELECT {", ".join(f"event.{c.name}" for c in outbox.c)}
    FROM (
        SELECT {_COLUMNS}, row_number() OVER (PARTITION BY outbox.key ORDER BY outbox.version) AS number
        FROM outbox WHERE outbox.lane = ANY (CAST(:lanes AS smallint[]))
    ) AS event JOIN (
        SELECT {_COLUMNS}, row_number() OVER (PARTITION BY outbox.key ORDER BY outbox.lane < 0, outbox.id) AS number
        FROM outbox WHERE outbox.lane = ANY (CAST(:lanes AS smallint[]))
    ) AS place ON event.key = place.key AND event.number = place.number
    ORDER BY place.lane < 0, place.id LIMIT :limit
""")  # noqa: S608  # column names of ours
_LANES_OF_A_BACKLOG = 4
"""The statement above sorts everything that waits in its lanes, so of a backlog it reads only a few lanes at a time."""

# A row for the state topic alone (`fill_lane`) may have become an event since, because an operator retried the dead
# letter, and the other way round. Not `lane < 0 AND …`: with statistics of an empty table the planner would use the
# index on lanes and read everything that waits.
# The event's id stands for key and version, which a server that lost commits gives to another event: Citus reconnects
# to a worker's successor without an error that would make a relay forget what it published. `created_at` differs.
_PUBLISHED = """
    outbox.event_id = ANY (CASE WHEN outbox.lane < 0 THEN CAST(:fills AS uuid[]) ELSE CAST(:events AS uuid[]) END)
    AND outbox.created_at = ANY (CAST(:times AS timestamptz[]))
"""
# The key determines the server of a row, and the primary key alone finds the row: without a join, statistics of an
# empty table cannot mislead the planner. A user's later versions are not read, however many wait.
_GONE = f"key = ANY (CAST(:keys AS text[])) AND version <= CAST(:newest AS bigint) AND {_PUBLISHED}"
# If the server crashes, a lost deletion only repeats a publication, so COMMIT need not wait for the disk.
_NOT_WAITING = "(SELECT set_config('synchronous_commit', 'off', true)) = 'off'"
_DELETE = Compiled(f"DELETE FROM outbox WHERE {_GONE} AND {_NOT_WAITING}")  # noqa: S608
# Not `NOT EXISTS`, which Citus refuses beside `_NOT_WAITING`.
_DELETE_OVERTAKEN = Compiled(f"""
    DELETE FROM outbox WHERE {_GONE} AND {_NOT_WAITING}
        AND (key, version) NOT IN (SELECT id, version FROM users WHERE id = ANY (CAST(:keys AS text[])))
""")  # noqa: S608  # conditions of ours

FEW = 32
"""Up to so many rows are deleted, and left out, by the statement that reads the next ones."""

# Both parts see the table as it was before the statement, so the read has to leave out what the other part deletes.
_DELETE_FEW_AND_READ = Compiled(f"""
    WITH few AS (
        DELETE FROM outbox
        WHERE key = ANY (CAST(:keys AS text[])) AND version = ANY (CAST(:versions AS bigint[]))
          AND {_PUBLISHED} AND {_NOT_WAITING}
    )
    {_among_the_oldest("oldest.*", f"AND NOT ({_PUBLISHED})")}
""")  # noqa: S608  # conditions of ours

_KEPT = [c.name for c in outbox.c if c.name != "payload"]
# The user may be deleted at this moment, or may have been before the event was refused; then the dead letter must not
# keep what the deletion erased. The new revision makes a deletion that has not seen the letter lose its race and retry.
# The version may be a dead letter already and have been filled into the state topic since. A letter that waits stays,
# because it stands for the event too; one that was discarded is replaced.
_MOVE_TO_DEAD_LETTERS = text(f"""
    WITH moved AS (
        DELETE FROM outbox WHERE {_GONE} RETURNING *
    ), owner AS (
        UPDATE users SET revision = revision + 1 WHERE id = ANY (:keys) RETURNING id, deleted_at
    )
    INSERT INTO outbox_dead ({", ".join(_KEPT)}, error, attempts, payload)
    SELECT {", ".join(f"moved.{name}" for name in _KEPT)}, error, attempts,
           CASE WHEN deleted_at IS NULL THEN payload END
    FROM moved
    JOIN unnest(CAST(:event_ids AS uuid[]), CAST(:errors AS text[]), CAST(:attempts AS integer[]))
        AS refused (event_id, error, attempts) ON refused.event_id = moved.event_id
    LEFT JOIN owner ON owner.id = moved.key
    ON CONFLICT (key, version) DO UPDATE
        SET {", ".join(f"{c.name} = EXCLUDED.{c.name}" for c in outbox_dead.c if not c.primary_key)}
        WHERE outbox_dead.discarded_at IS NOT NULL
""")  # noqa: S608  # column names of ours

# The table is empty most of the time, so its statistics suggest a sequential scan; a cached plan would keep it when
# Kafka has been down for an hour and a million rows wait. Behind a pooler no plan is cached.
INDEX_PLANS = {
    **dict.fromkeys(
        ("enable_seqscan", "enable_bitmapscan", "enable_sort", "enable_hashjoin", "enable_mergejoin"), "off"
    ),
    # For arrays of unknown length a generic plan looks more expensive, so each statement would be planned again.
    "plan_cache_mode": "force_generic_plan",
}
"""Server settings of the relay's connections."""

DELETED_AT_ONCE = 64
"""Events in one statement: it compares each row that it finds with all of them."""


class PostgresOutbox:
    """`Outbox` on PostgreSQL."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._more_wait = False
        self._distributed = False

    async def oldest(self, lanes: Sequence[int], limit: int, *, published: Collection[Pending] = ()) -> list[Pending]:
        with raised_as_unavailable():
            if not self._distributed:
                try:
                    rows = await self._of_one_server(lanes, limit, published)
                except DBAPIError as error:
                    # Citus refuses it once the tables are distributed.
                    if code_of(error) != asyncpg.FeatureNotSupportedError.sqlstate:
                        raise
                    self._distributed = True
            if self._distributed:
                rows = await self._of_all_servers(lanes, limit, published)
        self._more_wait = len(rows) >= limit
        return [
            Pending(
                id=row["event_id"].int,
                lane=row["lane"],
                stored_at=row["created_at"].timestamp(),
                message=OutboxMessage(
                    key=row["key"],
                    version=row["version"],
                    event_id=row["event_id"],
                    type=row["type"],
                    occurred_at=to_milliseconds(row["occurred_at"]),
                    payload=row["payload"],
                    traceparent=row["traceparent"],
                ),
            )
            for row in sorted(rows, key=itemgetter("version", "id"))
        ]

    async def _of_one_server(self, lanes: Sequence[int], limit: int, published: Collection[Pending]) -> list[Row]:
        asked: dict[str, Any] = {"lanes": list(lanes), "limit": limit}
        async with directly(self._engine, publishes=True) as driver:
            if published and (self._more_wait or len(published) > FEW):
                await _delete(driver, published)
                published = ()
            rows: list[Row] = []
            if published:
                rows = await _DELETE_FEW_AND_READ.fetch(
                    driver, {**asked, **_found(published), "versions": [item.message.version for item in published]}
                )
            elif not self._more_wait:
                rows = await _OLDEST.fetch(driver, asked)
            # Only if the limit was reached may a lower version have been left out.
            if self._more_wait or len(rows) >= limit:
                rows = await _LOWEST.fetch(driver, asked)
        return rows

    async def _of_all_servers(self, lanes: Sequence[int], limit: int, published: Collection[Pending]) -> list[Row]:
        # A user's events, and the user's rows for the state topic alone, are read together.
        sharing: dict[int, list[int]] = {}
        for lane in lanes:
            sharing.setdefault(max(lane, ~lane), []).append(lane)
        step = _LANES_OF_A_BACKLOG if self._more_wait else len(sharing)
        rows: list[Row] = []
        async with directly(self._engine, publishes=True) as driver:
            if published:
                await _delete(driver, published)
            while sharing and len(rows) < limit:
                asked = [lane for first in list(sharing)[:step] for lane in sharing.pop(first)]
                rows += await _LOWEST_OF_ALL_SERVERS.fetch(driver, {"lanes": asked, "limit": limit - len(rows)})
        return rows

    async def delete(self, published: Collection[Pending]) -> None:
        with raised_as_unavailable():
            async with directly(self._engine) as driver:
                await _delete(driver, published)

    async def delete_overtaken(self, published: Collection[Pending]) -> None:
        with raised_as_unavailable():
            async with directly(self._engine) as driver:
                await _delete(driver, published, _DELETE_OVERTAKEN)

    async def move_to_dead_letters(self, refusals: Collection[RefusedMessage]) -> None:
        async with connected(self._engine) as connection:
            refused = {
                **_found([refusal.pending for refusal in refusals]),
                "event_ids": [refusal.pending.message.event_id for refusal in refusals],
                "errors": [refusal.error for refusal in refusals],
                "attempts": [refusal.attempts for refusal in refusals],
            }
            await connection.execute(_MOVE_TO_DEAD_LETTERS, refused)


async def _delete(driver: Driver, published: Collection[Pending], statement: Compiled = _DELETE) -> None:
    # Those of one key, and so of one server, are together.
    ordered = sorted(published, key=lambda item: item.message.key)
    parts = (ordered[start : start + DELETED_AT_ONCE] for start in range(0, len(ordered), DELETED_AT_ONCE))
    await statement.run(driver, map(_found, parts))


def _found(part: Collection[Pending]) -> dict[str, Any]:
    return {
        "keys": sorted({item.message.key for item in part}),
        "newest": max(item.message.version for item in part),
        "fills": [item.message.event_id for item in part if for_state_only(item)],
        "events": [item.message.event_id for item in part if not for_state_only(item)],
        "times": [datetime.fromtimestamp(item.stored_at, UTC) for item in part],
    }
