"""Leases on lanes, as rows: they survive a crash, a pause, a cut connection and a transaction-mode pooler."""

from datetime import timedelta

from sqlalchemy import (
    ARRAY,
    SmallInteger,
    and_,
    any_,
    bindparam,
    case,
    delete,
    func,
    null,
    or_,
    select,
    union_all,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres.asyncpg_execution import Compiled, Row, directly
from adapters.postgres.failures import raised_as_unavailable
from adapters.postgres.tables import outbox_lane, relay
from application.relay.lane_leases import LEASE_S, LaneShare, LaneTable

_lease = timedelta(seconds=LEASE_S)
# The database's clock alone decides, so relays need not agree on the time.
_now = func.clock_timestamp()

_seen = insert(relay).values(name=bindparam("me"), seen_at=_now)
_seen = _seen.on_conflict_do_update(index_elements=[relay.c.name], set_={"seen_at": _seen.excluded.seen_at})
_forgotten = delete(relay).where(relay.c.seen_at < _now - 100 * _lease)
_READ = Compiled(
    union_all(
        select(
            outbox_lane.c.lane,
            case((outbox_lane.c.lease_until > _now, outbox_lane.c.owner)).label("name"),
        ),
        select(null(), relay.c.name).where(relay.c.seen_at > _now - _lease),
    ).add_cte(_seen.cte("seen"), _forgotten.cte("forgotten"))
)

_hold = outbox_lane.c.lane == any_(bindparam("hold", type_=ARRAY(SmallInteger)))
_release = outbox_lane.c.lane == any_(bindparam("release", type_=ARRAY(SmallInteger)))
_WRITE = Compiled(
    update(outbox_lane)
    .where(
        or_(
            and_(
                _hold,
                or_(
                    outbox_lane.c.owner == bindparam("me"),
                    outbox_lane.c.owner.is_(None),
                    outbox_lane.c.lease_until < _now,
                ),
            ),
            and_(_release, outbox_lane.c.owner == bindparam("me")),
        )
    )
    .values(
        owner=case((_release, null()), else_=bindparam("me")),
        lease_until=_now + _lease,
    )
    .returning(outbox_lane.c.lane, outbox_lane.c.owner)
)
_given_up = update(outbox_lane).where(outbox_lane.c.owner == bindparam("me")).values(owner=None).cte("given_up")
_LEAVE = Compiled(delete(relay).where(relay.c.name == bindparam("me")).add_cte(_given_up))


class PostgresLaneLeases:
    """`LaneLeases` on PostgreSQL: two statements for each renewal."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def read(self, relay: str) -> LaneTable:
        rows = await self._fetch(_READ, me=relay)
        return LaneTable(
            owners={row["lane"]: row["name"] for row in rows if row["lane"] is not None},
            # The statement reads what was there before it wrote: add this relay's first sign of life.
            relays={row["name"] for row in rows if row["lane"] is None} | {relay},
        )

    async def write(self, relay: str, share: LaneShare) -> frozenset[int]:
        rows = await self._fetch(_WRITE, me=relay, hold=sorted(share.hold), release=sorted(share.release))
        return frozenset(row["lane"] for row in rows if row["owner"] == relay)

    async def leave(self, relay: str) -> None:
        await self._fetch(_LEAVE, me=relay)

    async def _fetch(self, statement: Compiled, **parameters: object) -> list[Row]:
        # By the driver itself: around each of these an idle relay would send a BEGIN and a COMMIT.
        with raised_as_unavailable():
            async with directly(self._engine, commits=True) as driver:
                return await statement.fetch(driver, parameters)
