"""The outbox as a relay reads it: the oldest of each lane, deleted once published."""

from collections.abc import Collection, Sequence
from operator import itemgetter
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    Integer,
    Select,
    SmallInteger,
    Text,
    Uuid,
    all_,
    and_,
    any_,
    bindparam,
    case,
    column,
    delete,
    func,
    literal_column,
    null,
    select,
    text,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres.asyncpg_execution import Compiled, directly
from adapters.postgres.connection.dial import Driver
from adapters.postgres.failures import connected, raised_as_unavailable
from adapters.postgres.rows import to_milliseconds
from adapters.postgres.tables import outbox, outbox_dead, users
from application.relay.messages import OutboxMessage, Pending, RefusedMessage

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

# Lane by lane, and nothing to join: when the table was last analyzed empty, as it is most of the time, a join with the
# rows that are to go is planned from the other side, and compares each row of the backlog with all of them.
_gone = and_(
    outbox.c.lane == bindparam("lane", type_=SmallInteger),
    outbox.c.id == any_(bindparam("ids", type_=ARRAY(BigInteger))),
    # The id finds it, no more: where the sequence was set back, another row may have the same.
    outbox.c.event_id == any_(bindparam("event_ids", type_=ARRAY(Uuid))),
)
# A deletion that a crash of the server undoes costs a repetition, so nobody has to wait for the disk.
_not_waiting = text("(SELECT set_config('synchronous_commit', 'off', true)) = 'off'")
_DELETE = Compiled(delete(outbox).where(_gone, _not_waiting))

FEW = 32
"""Rows that are deleted and looked past one by one in the statement that reads the next ones."""

# What waited for the state topic alone (`fill_lane`) may have become an event since, and the other way round.
_told = case(
    (outbox.c.lane < literal_column("0"), bindparam("fills", type_=ARRAY(Uuid))),
    else_=bindparam("events", type_=ARRAY(Uuid)),
)
_few = (
    delete(outbox)
    .where(
        outbox.c.key == any_(bindparam("keys", type_=ARRAY(Text))),
        outbox.c.version == any_(bindparam("versions", type_=ARRAY(BigInteger))),
        outbox.c.event_id == any_(_told),
        _not_waiting,
    )
    .cte("few")
)
# Both parts see the table as it was before the statement, so the read has to leave out what the other part deletes.
_DELETE_FEW_AND_READ = Compiled(_among_the_oldest(*outbox.c, where=[outbox.c.event_id != all_(_told)]).add_cte(_few))

_refused = (
    func.unnest(
        bindparam("event_ids", type_=ARRAY(Uuid)),
        bindparam("errors", type_=ARRAY(Text)),
        bindparam("attempts", type_=ARRAY(Integer)),
    )
    .table_valued(column("event_id", Uuid), column("error", Text), column("attempts", Integer))
    .render_derived(name="refused")
)
_moved = delete(outbox).where(_gone).returning(*outbox.c).cte("moved")
# A user may be deleted at this moment, or have been before its event was refused; then the letter must not keep what
# the deletion erased. The new revision makes a deletion that has not seen the letter yet lose its race and look again.
_owner = (
    update(users)
    .where(users.c.id == any_(bindparam("keys", type_=ARRAY(Text))))
    .values(revision=users.c.revision + 1)
    .returning(users.c.id, users.c.deleted_at)
    .cte("owner")
)
_KEPT = [c.name for c in outbox.c if c.name != "payload"]
_put_aside = insert(outbox_dead).from_select(
    [*_KEPT, "error", "attempts", "payload"],
    select(
        *(_moved.c[name] for name in _KEPT),
        _refused.c.error,
        _refused.c.attempts,
        case((_owner.c.deleted_at.is_(None), _moved.c.payload)),
    ).select_from(
        _moved.join(_refused, _refused.c.event_id == _moved.c.event_id).outerjoin(_owner, _owner.c.id == _moved.c.key)
    ),
)
# The version may have died before and been filled into the state topic since. A letter that waits stays, because it
# stands for the event too; one that was discarded is now a letter again.
_MOVE_TO_DEAD_LETTERS = _put_aside.on_conflict_do_update(
    index_elements=[outbox_dead.c.key, outbox_dead.c.version],
    set_={
        **{c.name: _put_aside.excluded[c.name] for c in outbox_dead.c if not c.primary_key},
        "died_at": func.clock_timestamp(),
        "discarded_at": null(),
        "discard_reason": null(),
    },
    where=outbox_dead.c.discarded_at.is_not(None),
)

# The table is empty most of the time, so its statistics advise a sequential scan; a cached plan would keep to that
# when the broker has been away for an hour and a million rows wait. Behind a pooler nothing is cached: no need.
INDEX_PLANS = dict.fromkeys(
    ("enable_seqscan", "enable_bitmapscan", "enable_sort", "enable_hashjoin", "enable_mergejoin"), "off"
)
"""Server settings of the relay's connections."""


class PostgresOutbox:
    """`Outbox` on PostgreSQL."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._more_wait = False

    async def oldest(self, lanes: Sequence[int], limit: int, *, published: Collection[Pending] = ()) -> list[Pending]:
        """See `Outbox.oldest`."""
        asked: dict[str, Any] = {"lanes": list(lanes), "limit": limit}
        with raised_as_unavailable():
            async with directly(self._engine) as driver:
                if published and (self._more_wait or len(published) > FEW):
                    await _delete(driver, published)
                    published = ()
                rows = []
                if published:
                    rows = await _DELETE_FEW_AND_READ.fetch(driver, {**asked, **_named(published)})
                elif not self._more_wait:
                    rows = await _OLDEST.fetch(driver, asked)
                # All that waits is there unless the limit cut it; only then may a lower version have been left out.
                if self._more_wait or len(rows) >= limit:
                    rows = await _LOWEST.fetch(driver, asked)
        self._more_wait = len(rows) >= limit
        return [
            Pending(
                id=row["event_id"].int,
                row=row["id"],
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

    async def delete(self, published: Collection[Pending]) -> None:
        """See `Outbox.delete`."""
        with raised_as_unavailable():
            async with directly(self._engine) as driver:
                await _delete(driver, published)

    async def move_to_dead_letters(self, refusals: Collection[RefusedMessage]) -> None:
        """See `Outbox.move_to_dead_letters`."""
        by_lane: dict[int, list[RefusedMessage]] = {}
        for refusal in refusals:
            by_lane.setdefault(refusal.pending.lane, []).append(refusal)
        async with connected(self._engine) as connection:
            for lane, of_lane in by_lane.items():
                await connection.execute(
                    _MOVE_TO_DEAD_LETTERS,
                    {
                        **_found(lane, [refusal.pending for refusal in of_lane]),
                        "errors": [refusal.error for refusal in of_lane],
                        "attempts": [refusal.attempts for refusal in of_lane],
                        "keys": sorted({refusal.pending.message.key for refusal in of_lane}),
                    },
                )


async def _delete(driver: Driver, published: Collection[Pending]) -> None:
    by_lane: dict[int, list[Pending]] = {}
    for item in published:
        by_lane.setdefault(item.lane, []).append(item)
    await _DELETE.run(driver, [_found(lane, items) for lane, items in by_lane.items()])


def _named(items: Collection[Pending]) -> dict[str, Any]:
    return {
        "keys": [item.message.key for item in items],
        "versions": [item.message.version for item in items],
        "fills": [item.message.event_id for item in items if item.lane < 0],
        "events": [item.message.event_id for item in items if item.lane >= 0],
    }


def _found(lane: int, items: Sequence[Pending]) -> dict[str, Any]:
    return {
        "lane": lane,
        "ids": [item.row for item in items],
        "event_ids": [item.message.event_id for item in items],
    }
