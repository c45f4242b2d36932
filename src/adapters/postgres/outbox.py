"""The outbox as a relay reads it: the oldest of each lane, deleted once published."""

from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, datetime
from operator import itemgetter
from typing import Any

import asyncpg
from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    Integer,
    Select,
    SmallInteger,
    Subquery,
    Text,
    Uuid,
    and_,
    any_,
    bindparam,
    case,
    column,
    delete,
    func,
    literal_column,
    not_,
    select,
    text,
    true,
)
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres.asyncpg_execution import Compiled, Row, directly
from adapters.postgres.connection.dial import Driver
from adapters.postgres.failures import code_of, connected, raised_as_unavailable
from adapters.postgres.rows import to_milliseconds
from adapters.postgres.tables import outbox, outbox_dead
from application.relay.messages import OutboxMessage, Pending, RefusedMessage
from application.relay.state_topic import for_state_only

_lanes = (
    func.unnest(bindparam("lanes", type_=ARRAY(SmallInteger)))
    .table_valued(column("lane", SmallInteger))
    .render_derived(name="mine")
)


def _among_the_oldest(*columns: ColumnElement[Any], where: Sequence[ColumnElement[bool]] = ()) -> Select[Any]:
    """Take so many rows of these lanes, the earlier lanes and lower ids first.

    One index descent a lane, and it stops at the limit: the cost depends neither on the backlog nor on the lanes that
    other relays hold. Reading by "id greater than the last" would be cheaper and wrong: ids become visible out of
    order.
    """
    limit = bindparam("limit", type_=Integer)
    of_lane = (
        select(*columns)
        .where(outbox.c.lane == _lanes.c.lane, *where)
        .order_by(outbox.c.id)
        .limit(limit)
        .lateral("oldest")
    )
    return select(of_lane).select_from(_lanes.join(of_lane, true())).limit(limit)


_OLDEST = Compiled(_among_the_oldest(*outbox.c))
# Ids say who has waited for long, and no more: a sequence with a cache, one of several servers, or one that a restore
# set back, gives a later version the lower id. As many of each user's events are taken as are among the oldest, but
# those with the lowest versions.
_waiting = _among_the_oldest(outbox.c.key).cte("waiting")
_share = select(_waiting.c.key, func.count().label("size")).group_by(_waiting.c.key).cte("share")
_of_key = (
    select(outbox)
    .where(outbox.c.key == _share.c.key, outbox.c.lane == any_(bindparam("lanes", type_=ARRAY(SmallInteger))))
    .order_by(outbox.c.version)
    .limit(_share.c.size)
    .lateral("lowest")
)
_LOWEST = Compiled(select(_of_key).select_from(_share.join(_of_key, true())))


def _ranked_by(*order: ColumnElement[Any], name: str) -> Subquery:
    """Number the waiting events of each user: all of them are on one server, which can do that alone."""
    number = func.row_number().over(partition_by=outbox.c.key, order_by=order).label("number")
    return (
        select(outbox, number)
        .where(outbox.c.lane == any_(bindparam("lanes", type_=ARRAY(SmallInteger))))
        .subquery(name)
    )


# The same choice where tables are distributed, and a LIMIT for each lane is refused: the place of a user's n-th oldest
# event goes to the n-th lowest version. What waits for the state topic alone comes last.
_place, _event = (
    _ranked_by(outbox.c.lane < literal_column("0"), outbox.c.id, name="place"),
    _ranked_by(outbox.c.version, name="event"),
)
_LOWEST_OF_ALL_SERVERS = Compiled(
    select(*(_event.c[c.name] for c in outbox.c))
    .join_from(_event, _place, and_(_event.c.key == _place.c.key, _event.c.number == _place.c.number))
    .order_by(_place.c.lane < literal_column("0"), _place.c.id)
    .limit(bindparam("limit", type_=Integer))
)
_LANES_OF_A_BACKLOG = 4
"""The statement above sorts all that waits in its lanes, so of a backlog it is asked for a few of them at a time."""

# What waited for the state topic alone (`fill_lane`) may have become an event since, because an operator put the dead
# letter back, and the other way round. Not `lane < 0 AND …`: the planner would take the lane's index for it, and read
# all that waits, when it has statistics of a table that was empty.
_told = case(
    (outbox.c.lane < literal_column("0"), bindparam("fills", type_=ARRAY(Uuid))),
    else_=bindparam("events", type_=ARRAY(Uuid)),
)
# The event's id stands for key and version, which a server that lost commits gives to another event: Citus connects to
# a worker's successor without an error that would make a relay forget what it published. The time tells them apart.
_published = and_(
    outbox.c.event_id == any_(_told),
    outbox.c.created_at == any_(bindparam("times", type_=ARRAY(outbox.c.created_at.type))),
)
# By the key, which says on which server a row is, and found by the primary key alone: nothing to join, so statistics
# of a table that was empty cannot mislead the planner. A user's later versions are not read, however many wait.
_gone = and_(
    outbox.c.key == any_(bindparam("keys", type_=ARRAY(Text))),
    outbox.c.version <= bindparam("newest", type_=BigInteger),
    _published,
)
# A deletion that a crash of the server undoes costs a repetition, so nobody has to wait for the disk.
_not_waiting = text("(SELECT set_config('synchronous_commit', 'off', true)) = 'off'")
_DELETE = Compiled(delete(outbox).where(_gone, _not_waiting))

FEW = 32
"""Rows that are deleted and looked past one by one in the statement that reads the next ones."""

_few = (
    delete(outbox)
    .where(
        outbox.c.key == any_(bindparam("keys", type_=ARRAY(Text))),
        outbox.c.version == any_(bindparam("versions", type_=ARRAY(BigInteger))),
        _published,
        _not_waiting,
    )
    .cte("few")
)
# Both parts see the table as it was before the statement, so the read has to leave out what the other part deletes.
_DELETE_FEW_AND_READ = Compiled(_among_the_oldest(*outbox.c, where=[not_(_published)]).add_cte(_few))

_KEPT = [c.name for c in outbox.c if c.name != "payload"]
_MOVED = [f"moved.{name}" for name in _KEPT]
# A user may be deleted at this moment, or have been before its event was refused; then the letter must not keep what
# the deletion erased. The new revision makes a deletion that has not seen the letter yet lose its race and look again.
# The version may have died before and been filled into the state topic since. A letter that waits stays, because it
# stands for the event too; one that was discarded is now a letter again.
_MOVE_TO_DEAD_LETTERS = text(f"""
    WITH moved AS (
        DELETE FROM outbox
        WHERE key = ANY (:keys) AND version <= :newest
          AND event_id = ANY (CASE WHEN lane < 0 THEN CAST(:fills AS uuid[]) ELSE CAST(:events AS uuid[]) END)
          AND created_at = ANY (CAST(:times AS timestamptz[]))
        RETURNING *
    ), owner AS (
        UPDATE users SET revision = revision + 1 WHERE id = ANY (:keys) RETURNING id, deleted_at
    )
    INSERT INTO outbox_dead ({", ".join(_KEPT)}, error, attempts, payload)
    SELECT {", ".join(_MOVED)}, error, attempts, CASE WHEN deleted_at IS NULL THEN payload END
    FROM moved
    JOIN unnest(CAST(:event_ids AS uuid[]), CAST(:errors AS text[]), CAST(:attempts AS integer[]))
        AS refused (event_id, error, attempts) ON refused.event_id = moved.event_id
    LEFT JOIN owner ON owner.id = moved.key
    ON CONFLICT (key, version) DO UPDATE
        SET {", ".join(f"{c.name} = EXCLUDED.{c.name}" for c in outbox_dead.c if not c.primary_key)}
        WHERE outbox_dead.discarded_at IS NOT NULL
""")  # noqa: S608  # column names of ours

# The table is empty most of the time, so its statistics advise a sequential scan; a cached plan would keep to that
# when the broker has been away for an hour and a million rows wait. Behind a pooler nothing is cached: no need.
INDEX_PLANS = {
    **dict.fromkeys(
        ("enable_seqscan", "enable_bitmapscan", "enable_sort", "enable_hashjoin", "enable_mergejoin"), "off"
    ),
    # A generic plan looks dearer for arrays of unknown length, so each statement would be planned anew.
    "plan_cache_mode": "force_generic_plan",
}
"""Server settings of the relay's connections."""


DELETED_AT_ONCE = 64
"""Events in one statement: it compares each of the rows that it finds with all of them."""


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
                    # Citus refuses it, from the moment when the tables are distributed.
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
            # All that waits is there unless the limit cut it; only then may a lower version have been left out.
            if self._more_wait or len(rows) >= limit:
                rows = await _LOWEST.fetch(driver, asked)
        return rows

    async def _of_all_servers(self, lanes: Sequence[int], limit: int, published: Collection[Pending]) -> list[Row]:
        # A user's events and what waits of it for the state topic alone are asked for together.
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

    async def move_to_dead_letters(self, refusals: Collection[RefusedMessage]) -> None:
        refused = {refusal.pending.id: refusal for refusal in refusals}
        async with connected(self._engine) as connection:
            for part in _parts([refusal.pending for refusal in refusals], len(refusals)):
                told = {
                    "event_ids": [item.message.event_id for item in part],
                    "errors": [refused[item.id].error for item in part],
                    "attempts": [refused[item.id].attempts for item in part],
                }
                await connection.execute(_MOVE_TO_DEAD_LETTERS, {**_found(part), **told})


async def _delete(driver: Driver, published: Collection[Pending]) -> None:
    await _DELETE.run(driver, (_found(part) for part in _parts(published, DELETED_AT_ONCE)))


def _parts(items: Collection[Pending], size: int) -> Iterator[Sequence[Pending]]:
    """Divide them, those of one key, hence of one server, together."""
    ordered = sorted(items, key=lambda each: each.message.key)
    for start in range(0, len(ordered), size):
        yield ordered[start : start + size]


def _found(part: Collection[Pending]) -> dict[str, Any]:
    return {
        "keys": sorted({item.message.key for item in part}),
        "newest": max(item.message.version for item in part),
        "fills": [item.message.event_id for item in part if for_state_only(item)],
        "events": [item.message.event_id for item in part if not for_state_only(item)],
        "times": [datetime.fromtimestamp(item.stored_at, UTC) for item in part],
    }
