"""Users written to the shards of a Citus cluster, on connections to its workers.

A statement that Citus plans costs several times as much as on PostgreSQL, so the statements name the tables of the
shards, by a map that may be outdated: each statement first locks the shards of its users at their server, and fails if
one is elsewhere (`citus.HOLDER`).
"""

import time
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence

from attrs import define, evolve, field, frozen
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres.asyncpg_execution import Compiled, Row, directly
from adapters.postgres.citus import HOLDER, SHARD_ELSEWHERE
from adapters.postgres.connection.dial import Dialer, Driver
from adapters.postgres.connection.target import Address
from adapters.postgres.engine import create_engine
from adapters.postgres.failures import DATABASE_ERRORS
from adapters.postgres.hashtext import hashtext
from adapters.postgres.statements import (
    BY_KEY,
    CHANGES,
    EVENT_NAMES,
    EVENT_VALUES,
    EVENTS,
    UPSERT,
    USER_NAMES,
    USER_VALUES,
    Stored,
    Write,
    in_json,
    stored_from,
)
from domain.user import UserId

CONNECTIONS = 2
"""Of a process to each worker: one writes at a time, and one replaces it when it is lost."""

CONNECT_TIMEOUT_S = 1.0
"""Webhooks wait for it, once in `LEFT_ALONE_S`."""

LEFT_ALONE_S = 30.0

MOVED_S = 1.0
"""How long a worker's users are written through the coordinator after one of their shards was elsewhere."""

MAP_S = 5.0
"""How long the map is used: after that a worker that was replaced in the cluster is not written to."""

ELSEWHERE = (SHARD_ELSEWHERE, "42P01")
"""SQLSTATEs of a shard that was moved or split, and of its table, which is dropped later."""

# `direct`: the statements can run at the worker. Names are quoted by the server, by its search path.
_SHARDS = Compiled(f"""
    SELECT shard.shardminvalue::int AS low, shard.shardmaxvalue::int AS high, shard.shardid AS id,
           nodename AS host, nodeport AS port, shard_name('users', shard.shardid) AS users,
           shard_name('outbox', events.shardid) AS outbox, shard_name('outbox_dead', dead.shardid) AS outbox_dead,
           quote_literal(pg_get_serial_sequence('outbox', 'id')) AS sequence,
           to_regproc('{HOLDER}') IS NOT NULL
               AND has_sequence_privilege(pg_get_serial_sequence('outbox', 'id'), 'USAGE') AS direct
    FROM pg_dist_shard AS shard
    JOIN pg_dist_shard AS events USING (shardminvalue)
    JOIN pg_dist_shard AS dead USING (shardminvalue)
    JOIN pg_dist_placement ON pg_dist_placement.shardid = shard.shardid
    JOIN pg_dist_node USING (groupid)
    WHERE shard.logicalrelid = to_regclass('users') AND events.logicalrelid = to_regclass('outbox')
      AND dead.logicalrelid = to_regclass('outbox_dead') AND noderole = 'primary'
    ORDER BY low
""")  # noqa: S608  # a name of ours


@frozen(eq=False)
class Place:
    """A worker, and the statements that name all of its shards: one reads users, one stores them and their events."""

    address: Address
    direct: bool
    _shards: Sequence[int]
    _reading: Compiled
    _writing: Compiled

    @classmethod
    def of(cls, address: Address, shards: Sequence[Row]) -> "Place":
        ids = [shard["id"] for shard in shards]
        return cls(address, all(shard["direct"] for shard in shards), ids, _reading(shards), _writing(shards))

    async def read(self, driver: Driver, ids: Sequence[UserId]) -> dict[UserId, Stored]:
        """Do as `statements.read`."""
        return stored_from(await self._reading.fetch(driver, {"ids": list(ids), "shards": self._shards}))

    async def write(self, driver: Driver, writes: Sequence[Write]) -> set[UserId]:
        """Do as `statements.write`."""
        asked = {"ids": [each.user_id for each in writes], "shards": self._shards, **in_json(writes)}
        return {row["id"] for row in await self._writing.fetch(driver, asked)}


@frozen
class ShardMap:
    """Which place each hash has."""

    rows: Sequence[Row]
    _lows: Sequence[int] = field(init=False, eq=False)
    _places: Sequence[Place] = field(init=False, eq=False)

    def __attrs_post_init__(self) -> None:
        by_address: dict[Address, list[Row]] = {}
        for row in self.rows:
            by_address.setdefault((row["host"], row["port"]), []).append(row)
        places = {address: Place.of(address, rows) for address, rows in by_address.items()}
        object.__setattr__(self, "_lows", [row["low"] for row in self.rows])
        object.__setattr__(self, "_places", [places[row["host"], row["port"]] for row in self.rows])

    def place_of(self, user_id: UserId) -> Place | None:
        """Return where the user is, or will be."""
        return self._places[bisect_right(self._lows, hashtext(user_id)) - 1] if self.rows else None


@define(eq=False)
class Workers:
    """Connections to the workers, with the coordinator's settings; a worker that cannot be reached is not used."""

    coordinator: AsyncEngine
    clock: Callable[[], float] = time.monotonic
    _map: ShardMap = field(factory=lambda: ShardMap(()), init=False)
    _believed_until: float = field(default=float("-inf"), init=False)
    _engines: dict[Address, AsyncEngine] = field(factory=dict, init=False)
    _left_alone_until: dict[Address, float] = field(factory=dict, init=False)

    async def shards(self) -> ShardMap:
        """Return the map, at most `MAP_S` old, and newer than the last failure."""
        if self.clock() >= self._believed_until:
            until = self.clock() + MAP_S
            async with directly(self.coordinator) as driver:
                rows = await _SHARDS.fetch(driver, {})
            if rows != self._map.rows:
                self._map = ShardMap(rows)
            self._believed_until = until
        return self._map

    def at(self, address: Address | None) -> AsyncEngine:
        """Return the worker's connections, or the coordinator's."""
        dialer: Dialer = self.coordinator.get_execution_options()["dialer"]
        # Behind a pooler connections are few, and the workers have no pooler. A Unix socket in DATABASE_URL does not
        # define the security of a connection over the network.
        indirect = dialer.pooled or any(host.startswith("/") for host, _ in dialer.target.addresses)
        if address is None or indirect or self.clock() < self._left_alone_until.get(address, 0):
            return self.coordinator
        if address not in self._engines:
            self._engines[address] = create_engine(
                evolve(dialer.target, addresses=(address,), connect_timeout_s=CONNECT_TIMEOUT_S),
                pool_size=CONNECTIONS,
                application_name=dialer.application_name,
                # Citus would hide shards from asyncpg's queries of types, which then take seconds.
                settings={**BY_KEY, "citus.override_table_visibility": "off"},
                of_shards=True,
            )
        return self._engines[address]

    def leave_alone(self, address: Address, for_s: float = LEFT_ALONE_S) -> None:
        """Use the coordinator for a while, and read the map again."""
        self._left_alone_until[address] = self.clock() + for_s
        self._believed_until = float("-inf")

    async def unreached(self, servers: Iterable[str]) -> list[str]:
        """Return the servers, `host:port`, that cannot be reached."""
        found = []
        for server in servers:
            host, _, port = server.rpartition(":")
            try:
                async with directly(self.at((host, int(port)))):
                    pass
            except DATABASE_ERRORS:
                found.append(server)
        return found

    async def aclose(self) -> None:
        for engine in self._engines.values():
            await engine.dispose()


def _reading(shards: Iterable[Row]) -> Compiled:
    parts = [
        f"SELECT {USER_NAMES} FROM asked JOIN {shard['users']} ON id = user_id WHERE {_within(shard)}"  # noqa: S608
        for shard in shards
    ]
    return Compiled(f"""
        WITH asked AS MATERIALIZED (
            SELECT user_id, worker_hash(user_id) AS hash FROM unnest(CAST(:ids AS text[])) AS user_id
            WHERE (SELECT {HOLDER}(:ids, :shards))
        )
        {" UNION ALL ".join(parts)}
    """)  # noqa: S608


def _writing(shards: Iterable[Row]) -> Compiled:
    """Make one statement of what `statements.WRITE` is for each of the shards."""
    parts, stored = [], []
    for number, shard in enumerate(shards):
        parts.append(f"""
            stored_{number} AS (
                INSERT INTO {shard["users"]} AS kept ({USER_NAMES})
                SELECT {USER_VALUES} FROM change WHERE {_within(shard)}
                {UPSERT}
            ), queued_{number} AS (
                INSERT INTO {shard["outbox"]} (id, {EVENT_NAMES})
                SELECT nextval({shard["sequence"]}), {EVENT_VALUES}
                FROM event JOIN stored_{number} AS stored ON stored.id = event.key
            ), erased_{number} AS (
                UPDATE {shard["outbox_dead"]} AS letter SET payload = NULL FROM stored_{number} AS stored
                WHERE letter.key = stored.id AND stored.deleted_at IS NOT NULL
            )
        """)  # noqa: S608  # names of the server's
        stored.append(f"SELECT id FROM stored_{number}")  # noqa: S608
    return Compiled(f"""
        WITH change AS MATERIALIZED (
            SELECT *, worker_hash(id) AS hash FROM {CHANGES} WHERE (SELECT {HOLDER}(:ids, :shards))
        ), event AS MATERIALIZED (SELECT * FROM {EVENTS}), {", ".join(parts)}
        {" UNION ALL ".join(stored)}
    """)  # noqa: S608


def _within(shard: Row) -> str:
    return f"hash BETWEEN {shard['low']} AND {shard['high']}"
