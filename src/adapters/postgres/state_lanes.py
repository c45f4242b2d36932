"""Who may write the state of which lane, and which messages are their user's newest."""

from collections.abc import Collection, Sequence

from sqlalchemy import ARRAY, SmallInteger, Text, any_, bindparam, or_, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres.asyncpg_execution import Compiled, directly
from adapters.postgres.failures import connected, raised_as_unavailable
from adapters.postgres.tables import outbox_lane, users
from application.relay.messages import Pending

_of_lanes = outbox_lane.c.lane == any_(bindparam("lanes", type_=ARRAY(SmallInteger)))
_WRITERS = (
    select(outbox_lane.c.state_writer).distinct().where(_of_lanes, outbox_lane.c.state_writer != bindparam("but"))
)
_CLAIM = (
    update(outbox_lane)
    .where(
        _of_lanes,
        outbox_lane.c.owner == bindparam("relay"),
        # Somebody else may have become the writer since `writers` was asked, and has not been barred.
        or_(
            outbox_lane.c.state_writer.is_(None),
            outbox_lane.c.state_writer == any_(bindparam("fenced", type_=ARRAY(Text))),
        ),
    )
    .values(state_writer=bindparam("writer"))
    .returning(outbox_lane.c.lane)
)

_NEWEST = Compiled(select(users.c.id, users.c.version).where(users.c.id == any_(bindparam("keys", type_=ARRAY(Text)))))


class PostgresStateLanes:
    """`StateLanes` on PostgreSQL: one statement a call."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def writers(self, lanes: Collection[int], *, but: str) -> frozenset[str]:
        async with connected(self._engine) as connection:
            found = await connection.execute(_WRITERS, {"lanes": sorted(lanes), "but": but})
            return frozenset(found.scalars())

    async def claim(self, relay: str, lanes: Collection[int], writer: str, fenced: Collection[str]) -> frozenset[int]:
        asked = {"relay": relay, "lanes": sorted(lanes), "writer": writer, "fenced": sorted(fenced)}
        async with connected(self._engine) as connection:
            return frozenset((await connection.execute(_CLAIM, asked)).scalars())

    async def newest(self, batch: Sequence[Pending]) -> frozenset[int]:
        keys = sorted({item.message.key for item in batch})
        with raised_as_unavailable():
            async with directly(self._engine) as driver:
                newest = {row["id"]: row["version"] for row in await _NEWEST.fetch(driver, {"keys": keys})}
        return frozenset(item.id for item in batch if newest.get(item.message.key) == item.message.version)
