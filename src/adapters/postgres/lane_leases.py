"""Leases on lanes, as rows: they survive a crash, a pause, a cut connection and a transaction-mode pooler."""

from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres.asyncpg_execution import Compiled
from adapters.postgres.failures import fetched
from application.relay.lane_leases import LEASE_S, LaneShare, LaneTable

# Only the database's clock counts, so clocks of relays may differ. It may go back, also by a failover: a time that lies
# further ahead than a lease lasts was written before, and is over.
_LEASED = f"lease_until BETWEEN clock_timestamp() AND clock_timestamp() + interval '{LEASE_S} s'"
_ALIVE = f"seen_at BETWEEN clock_timestamp() - interval '{LEASE_S} s' AND clock_timestamp()"
_READ = Compiled(f"""
    WITH seen AS (
        INSERT INTO relay (name, seen_at) VALUES (:me, clock_timestamp())
        ON CONFLICT (name) DO UPDATE SET seen_at = EXCLUDED.seen_at
    ), forgotten AS (
        DELETE FROM relay WHERE seen_at < clock_timestamp() - interval '{100 * LEASE_S} s'
    )
    SELECT lane, CASE WHEN {_LEASED} THEN owner END AS name FROM outbox_lane
    UNION ALL
    SELECT NULL, name FROM relay WHERE {_ALIVE}
""")  # noqa: S608  # a number of ours
_WRITE = Compiled(f"""
    UPDATE outbox_lane
    SET owner = CASE WHEN lane = ANY (:release) THEN NULL ELSE :me END,
        lease_until = clock_timestamp() + interval '{LEASE_S} s'
    WHERE lane = ANY (:hold) AND (owner = :me OR owner IS NULL OR NOT {_LEASED})
       OR lane = ANY (:release) AND owner = :me
    RETURNING lane, owner
""")  # noqa: S608  # a number of ours
_LEAVE = Compiled("""
    WITH given_up AS (UPDATE outbox_lane SET owner = NULL WHERE owner = :me) DELETE FROM relay WHERE name = :me
""")


class PostgresLaneLeases:
    """`LaneLeases` on PostgreSQL: two statements for each renewal."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def read(self, relay: str) -> LaneTable:
        rows = await fetched(self._engine, _READ, {"me": relay}, commits=True)
        return LaneTable(
            owners={row["lane"]: row["name"] for row in rows if row["lane"] is not None},
            # The statement reads the rows as they were before it wrote: add this relay.
            relays={row["name"] for row in rows if row["lane"] is None} | {relay},
        )

    async def write(self, relay: str, share: LaneShare) -> frozenset[int]:
        asked = {"me": relay, "hold": sorted(share.hold), "release": sorted(share.release)}
        rows = await fetched(self._engine, _WRITE, asked, commits=True)
        return frozenset(row["lane"] for row in rows if row["owner"] == relay)

    async def leave(self, relay: str) -> None:
        await fetched(self._engine, _LEAVE, {"me": relay}, commits=True)
