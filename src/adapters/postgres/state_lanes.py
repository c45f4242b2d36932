"""The writer of each lane's state, and which messages are their user's newest."""

from collections.abc import Collection, Sequence

from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres.asyncpg_execution import Compiled
from adapters.postgres.failures import fetched
from application.relay.messages import Pending
from application.relay.state_topic import FencedError, held_lane

_WRITERS = Compiled("SELECT DISTINCT state_writer FROM outbox_lane WHERE lane = ANY (:lanes) AND state_writer <> :but")
# Another relay may have become the writer since `writers` was read, and is not fenced.
_CLAIM = Compiled("""
    UPDATE outbox_lane SET state_writer = :writer
    WHERE lane = ANY (:lanes) AND owner = :relay AND (state_writer IS NULL OR state_writer = ANY (:fenced))
    RETURNING lane
""")
_NEWEST = Compiled("""
    SELECT id, version FROM users WHERE id = ANY (:keys)
    UNION ALL SELECT NULL, lane FROM outbox_lane WHERE lane = ANY (:lanes) AND state_writer = :writer
""")


class PostgresStateLanes:
    """`StateLanes` on PostgreSQL: one statement a call."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def writers(self, lanes: Collection[int], *, but: str) -> frozenset[str]:
        rows = await fetched(self._engine, _WRITERS, {"lanes": sorted(lanes), "but": but})
        return frozenset(row["state_writer"] for row in rows)

    async def claim(self, relay: str, lanes: Collection[int], writer: str, fenced: Collection[str]) -> frozenset[int]:
        asked = {"relay": relay, "lanes": sorted(lanes), "writer": writer, "fenced": sorted(fenced)}
        return frozenset(row["lane"] for row in await fetched(self._engine, _CLAIM, asked))

    async def newest(self, batch: Sequence[Pending], writer: str) -> frozenset[int]:
        keys, lanes = sorted({item.message.key for item in batch}), {held_lane(item) for item in batch}
        asked = {"keys": keys, "lanes": sorted(lanes), "writer": writer}
        rows = await fetched(self._engine, _NEWEST, asked)
        if {row["version"] for row in rows if row["id"] is None} != lanes:
            raise FencedError
        newest = {row["id"]: row["version"] for row in rows}
        return frozenset(item.id for item in batch if newest.get(item.message.key) == item.message.version)
