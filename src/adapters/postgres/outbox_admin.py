"""The outbox for an operator: its status, and its dead letters."""

from collections.abc import Sequence
from typing import Any

from attrs import fields
from sqlalchemy import RowMapping, select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres.citus import HOLDER
from adapters.postgres.failures import connected
from adapters.postgres.tables import outbox, outbox_dead
from application.relay.dead_letters import DeadLetter, LaneBacklog, OutboxStatus, Repair, VacuumBlocker
from application.relay.lanes import LANES

# The sequence counts stored events: with the depth it gives the exact rate at no cost.
_LANES = text("""
    SELECT lane.lane, lane.waiting, lane.oldest_s, lane.owner,
           extract(epoch FROM clock_timestamp())::float8 AS read_at,
           coalesce(pg_sequence_last_value(pg_get_serial_sequence('outbox', 'id')::regclass), 0) AS stored,
           to_regproc(:holder) IS NOT NULL AS distributed,
           (SELECT count(*) FROM outbox_dead WHERE discarded_at IS NULL) AS dead
    FROM (
        SELECT outbox_lane.lane,
               CASE WHEN lease_until > clock_timestamp() THEN owner END AS owner,
               coalesce(waiting, 0) AS waiting,
               extract(epoch FROM clock_timestamp() - oldest)::float8 AS oldest_s
        FROM outbox_lane
        LEFT JOIN (
            -- Session events have lanes from :lanes on, sent by the holder of the lane; rows below 0 are no events.
            SELECT lane % :lanes AS lane, count(*) AS waiting, min(created_at) AS oldest
            FROM outbox WHERE lane >= 0 GROUP BY 1
        ) AS backlog
            ON backlog.lane = outbox_lane.lane
    ) AS lane
    ORDER BY lane.lane
""").bindparams(lanes=LANES, holder=HOLDER)
# A relay's connections use indexes only. This statement reads every row: by an index in random order, 5.6 s for a
# million events, which delayed the relay's statements; in the order of the table, 0.6 s.
_READ_IN_ORDER_OF_THE_TABLE = text("SET LOCAL enable_seqscan = on")
# Each server of a cluster numbers what it stores, from a range of its own: the server's number << 48.
_STORED_BY_ALL_SERVERS = text("""
    SELECT coalesce(sum(result::bigint & (1::bigint << 48) - 1), 0)::bigint AS stored
    FROM run_command_on_all_nodes(format('SELECT coalesce(pg_sequence_last_value(%L), 0)',
                                         pg_get_serial_sequence('outbox', 'id')))
    WHERE success
""")
_RELAYS = text(
    "SELECT name, extract(epoch FROM clock_timestamp() - seen_at)::float8 AS seen_s FROM relay ORDER BY name"
)
# All three kinds of holders of `xmin` (PostgreSQL documentation, "Preventing Transaction ID Wraparound Failures").
_BLOCKER = text("""
    SELECT kind, name, age_s FROM (
        SELECT 'session' AS kind, pid || coalesce(' ' || nullif(application_name, ''), '') AS name,
               extract(epoch FROM clock_timestamp() - xact_start)::float8 AS age_s, age(backend_xmin) AS behind
        FROM pg_stat_activity
        WHERE backend_xmin IS NOT NULL AND pid <> pg_backend_pid() AND datname = current_database()
          AND backend_type <> 'autovacuum worker'
        UNION ALL
        SELECT 'prepared transaction', gid, extract(epoch FROM clock_timestamp() - prepared)::float8, age(transaction)
        FROM pg_prepared_xacts WHERE database = current_database()
        UNION ALL
        SELECT 'replication slot', slot_name::text, NULL, age(coalesce(xmin, catalog_xmin))
        FROM pg_replication_slots WHERE coalesce(xmin, catalog_xmin) IS NOT NULL
    ) AS holder
    WHERE age_s IS NULL OR age_s > :longer_than_s
    ORDER BY behind DESC LIMIT 1
""")

_DEAD = select(
    *(outbox_dead.c[field.name] for field in fields(DeadLetter) if field.name != "erased"),
    outbox_dead.c.payload.is_(None).label("erased"),
)

_COLUMNS = ", ".join(column.name for column in outbox.c)
# The user's row is locked: a deletion commits before, and then nothing is retried, or after, and then the old event is
# published before the deletion's. By an update, because Citus does not support SELECT FOR UPDATE on several servers;
# the new revision only makes a concurrent write decide again.
_RETRY = text(f"""
    WITH owner AS (
        UPDATE users SET revision = revision + 1
        WHERE id IN (SELECT key FROM outbox_dead WHERE id = ANY(:ids)) RETURNING id, version, deleted_at
    ), letter AS (
        DELETE FROM outbox_dead
        WHERE id = ANY(:ids) AND payload IS NOT NULL
          AND NOT EXISTS (SELECT FROM owner WHERE owner.id = outbox_dead.key AND owner.deleted_at IS NOT NULL)
        RETURNING {_COLUMNS}
    ), queued AS (
        INSERT INTO outbox ({_COLUMNS}) OVERRIDING SYSTEM VALUE SELECT {_COLUMNS} FROM letter
        -- A row for the state topic alone becomes the event.
        ON CONFLICT (key, version) DO UPDATE
            SET lane = EXCLUDED.lane, type = EXCLUDED.type,
                payload = EXCLUDED.payload, traceparent = EXCLUDED.traceparent
    )
    SELECT letter.id, coalesce(owner.version > letter.version, false) AS overtaken
    FROM letter LEFT JOIN owner ON owner.id = letter.key
""")  # noqa: S608  # column names of ours
_DISCARD = text("""
    UPDATE outbox_dead SET discarded_at = now(), discard_reason = :reason, payload = NULL
    WHERE id = ANY(:ids) AND discarded_at IS NULL RETURNING id
""")
_LEFT = text("SELECT id, discarded_at FROM outbox_dead WHERE id = ANY(:ids)")

BLOCKER_AGE_S = 60  # shorter transactions are normal


class PostgresOutboxAdmin:
    """`OutboxAdministration` on PostgreSQL."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def status(self) -> OutboxStatus:
        async with connected(self._engine) as connection:
            await connection.execute(_READ_IN_ORDER_OF_THE_TABLE)
            lanes = (await connection.execute(_LANES)).mappings().all()
        relays = await self._all(_RELAYS)
        blockers = await self._all(_BLOCKER, longer_than_s=BLOCKER_AGE_S)
        stored = (await self._all(_STORED_BY_ALL_SERVERS) if lanes[0]["distributed"] else lanes)[0]["stored"]
        return OutboxStatus(
            read_at=lanes[0]["read_at"],
            stored=stored,
            dead=lanes[0]["dead"],
            lanes=[
                LaneBacklog(**{name: row[name] for name in ("lane", "owner", "waiting", "oldest_s")}) for row in lanes
            ],
            relays={row["name"]: row["seen_s"] for row in relays},
            vacuum_blocker=next((VacuumBlocker(**row) for row in blockers), None),
        )

    async def dead(self, *, limit: int, discarded: bool = False) -> list[DeadLetter]:
        statement = _DEAD.order_by(outbox_dead.c.died_at.desc(), outbox_dead.c.id.desc()).limit(limit)
        rows = await self._all(statement if discarded else statement.where(outbox_dead.c.discarded_at.is_(None)))
        return [DeadLetter(**row) for row in rows]

    async def retry(self, ids: Sequence[int]) -> dict[int, Repair]:
        moved = {row["id"]: row["overtaken"] for row in await self._all(_RETRY, ids=list(ids))}
        done = {number: Repair.OVERTAKEN if overtaken else Repair.RETRIED for number, overtaken in moved.items()}
        return done | await self._why_not([number for number in ids if number not in done])

    async def discard(self, ids: Sequence[int], reason: str) -> dict[int, Repair]:
        done = {row["id"]: Repair.DISCARDED for row in await self._all(_DISCARD, ids=list(ids), reason=reason)}
        return done | await self._why_not([number for number in ids if number not in done])

    async def _why_not(self, ids: Sequence[int]) -> dict[int, Repair]:
        if not ids:
            return {}
        left = {row["id"]: row["discarded_at"] for row in await self._all(_LEFT, ids=list(ids))}
        return {
            number: Repair.UNKNOWN if number not in left else Repair.GONE if left[number] else Repair.ERASED
            for number in ids
        }

    async def _all(self, statement: Any, **parameters: Any) -> Sequence[RowMapping]:
        async with connected(self._engine) as connection:
            return (await connection.execute(statement, parameters)).mappings().all()
