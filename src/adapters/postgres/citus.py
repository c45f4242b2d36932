"""Users distributed over the workers of a Citus cluster: who is where, and a write that one worker does alone.

A batch written by one statement over several workers is planned for each of its parts, moved between the servers and
committed in two phases: a fifth of the rate of one server. So a batch is divided by worker, and each part is written by
a function at its worker: on a connection to that worker, or through the coordinator, which passes a call on whole
(Citus documentation, `create_distributed_function`) at twice the cost.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from attrs import define, evolve, field
from sqlalchemy import ARRAY, JSON, Column, Text, bindparam, column, func, select, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from adapters.postgres.asyncpg_execution import Compiled, directly
from adapters.postgres.connection.dial import Dialer, Driver
from adapters.postgres.engine import create_engine
from adapters.postgres.failures import DATABASE_ERRORS
from adapters.postgres.revisions import known_revisions
from adapters.postgres.statements import EVENT_COLUMNS, USER_COLUMNS, Stored, Write, arrays_from, arrays_of, stored_from
from adapters.postgres.tables import outbox, outbox_dead, users
from domain.user import UserId

CONNECTIONS = 2
"""Of a process to each worker: one writes at a time, and one takes its place when it breaks."""

CONNECT_TIMEOUT_S = 1.0
"""Webhooks wait for it, once in `LEFT_ALONE_S`."""

LEFT_ALONE_S = 30.0

Address: TypeAlias = tuple[str, int]

READER, WRITER = f"read_users_{known_revisions()[-1]}", f"write_users_{known_revisions()[-1]}"
"""The functions of this release's schema; those of the release before stay, for its processes."""

_IS_DISTRIBUTED = Compiled(text(f"SELECT to_regproc('{WRITER}') IS NOT NULL AS distributed"))
# Wherever a shard is when the function gets there, the write is right; where it is now makes it fast.
_SERVERS = Compiled(
    text("""
        SELECT id, nodename AS host, nodeport AS port
        FROM unnest(:ids) AS id
        JOIN pg_dist_placement ON shardid = get_shard_id_for_distribution_column('users', id)
        JOIN pg_dist_node USING (groupid)
        WHERE noderole = 'primary'
    """).bindparams(bindparam("ids", type_=ARRAY(Text)))
)
_USERS_ARE_DISTRIBUTED = text("""
    SELECT EXISTS (SELECT FROM pg_dist_partition WHERE logicalrelid = to_regclass('users') AND partmethod = 'h')
""")
_READ = Compiled(
    select(text("*")).select_from(
        getattr(func, READER)(bindparam("first", type_=Text), bindparam("ids", type_=ARRAY(Text)))
    )
)
_WRITE = Compiled(
    select(column("id")).select_from(
        getattr(func, WRITER)(
            bindparam("first", type_=Text), *arrays_of(users, USER_COLUMNS), *arrays_of(outbox, EVENT_COLUMNS)
        )
        .table_valued(column("id", Text))
        .render_derived(name="stored")
    )
)


async def is_distributed(driver: Driver) -> bool:
    """Tell whether `migrate --distribute` was run on this database."""
    [row] = await _IS_DISTRIBUTED.fetch(driver, {})
    return bool(row["distributed"])


async def servers_of(driver: Driver, ids: Sequence[UserId]) -> Mapping[UserId, Address]:
    """Return the address of the worker that has each of these users, or will have."""
    return {row["id"]: (row["host"], row["port"]) for row in await _SERVERS.fetch(driver, {"ids": list(ids)})}


@define(eq=False)
class Workers:
    """Connections to the workers themselves, as the coordinator's are made.

    They are taken where they can be had: a worker whose address nobody but the coordinator reaches is left alone.
    """

    coordinator: AsyncEngine
    clock: Callable[[], float] = time.monotonic
    _engines: dict[Address, AsyncEngine] = field(factory=dict, init=False)
    _left_alone_until: dict[Address, float] = field(factory=dict, init=False)

    def at(self, address: Address | None) -> AsyncEngine:
        """Return the worker's connections, or the coordinator's."""
        dialer: Dialer = self.coordinator.get_execution_options()["dialer"]
        # Behind a pooler connections are few, and at the workers nothing pools them. A Unix socket in DATABASE_URL says
        # nothing of what protects a connection over the network.
        indirect = dialer.pooled or any(host.startswith("/") for host, _ in dialer.target.addresses)
        if address is None or indirect or self.clock() < self._left_alone_until.get(address, 0):
            return self.coordinator
        if address not in self._engines:
            self._engines[address] = create_engine(
                evolve(dialer.target, addresses=(address,), connect_timeout_s=CONNECT_TIMEOUT_S),
                pool_size=CONNECTIONS,
                application_name=dialer.application_name,
                settings=dialer.settings,
            )
        return self._engines[address]

    def leave_alone(self, address: Address) -> None:
        """Have the coordinator asked for a while."""
        self._left_alone_until[address] = self.clock() + LEFT_ALONE_S

    async def unreached(self, servers: Iterable[str]) -> list[str]:
        """Return those of the servers, `host:port`, to which no connection can be had."""
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


async def read_on_worker(driver: Driver, ids: Sequence[UserId]) -> dict[UserId, Stored]:
    """Do as `statements.read`, on the worker that has these users."""
    return stored_from(await _READ.fetch(driver, {"first": ids[0], "ids": list(ids)}))


async def write_on_worker(driver: Driver, writes: Sequence[Write]) -> set[UserId]:
    """Do as `statements.write`, on the worker that has these users."""
    arrays = arrays_from(writes)
    stored = await _WRITE.fetch(driver, {"first": arrays["users_id"][0], **arrays})
    return {row["id"] for row in stored}


async def create_functions(connection: AsyncConnection) -> None:
    """Create what runs on a worker, where users are distributed and this schema's functions are not there yet."""
    if not (await connection.execute(text("SELECT to_regclass('pg_dist_partition') IS NOT NULL"))).scalar():
        return
    exists = text(f"SELECT to_regproc('{WRITER}') IS NOT NULL")
    if (await connection.execute(exists)).scalar() or not (await connection.execute(_USERS_ARE_DISTRIBUTED)).scalar():
        return
    schema = (await connection.execute(text("SELECT quote_ident(current_schema())"))).scalar_one()
    for name, definition in ((READER, _reader(schema)), (WRITER, _writer(schema))):
        await connection.exec_driver_sql(definition)
        await connection.execute(
            text(f"""
                SELECT create_distributed_function(to_regproc('{name}')::oid::regprocedure, 'first',
                                                   colocate_with => 'users')
            """)
        )


def _reader(schema: str) -> str:
    return f"""
        CREATE OR REPLACE FUNCTION {schema}.{READER}(first text, ids text[]) RETURNS SETOF {schema}.{users.name}
        LANGUAGE plpgsql STABLE AS $body$
        BEGIN
            RETURN QUERY SELECT * FROM {schema}.{users.name} WHERE id = ANY (ids);
        END
        $body$
    """  # noqa: S608  # names of ours


def _writer(schema: str) -> str:
    """Return the function that stores users and their events as `statements.WRITE` does.

    Its first argument is one of the users: its worker runs the function. Three statements, because one that modifies
    several tables is planned piece by piece; row by row, each row would be planned (50 times as long).
    """
    arrays = [*_declared(users.name, USER_COLUMNS), *_declared(outbox.name, EVENT_COLUMNS)]
    changes = ", ".join(f"${2 + number}" for number in range(len(USER_COLUMNS)))
    events = ", ".join(f"${2 + len(USER_COLUMNS) + number}" for number in range(len(EVENT_COLUMNS)))
    kept = ", ".join(f"{c.name} = EXCLUDED.{c.name}" for c in USER_COLUMNS if not c.primary_key)
    return f"""
        CREATE OR REPLACE FUNCTION {schema}.{WRITER}(first text, {", ".join(arrays)}) RETURNS SETOF text
        LANGUAGE plpgsql AS $body$
        #variable_conflict use_column
        DECLARE
            written record;
            stored text[] := '{{}}';
            erased text[];
        BEGIN
            FOR written IN
                INSERT INTO {schema}.{users.name} AS kept ({_names(USER_COLUMNS)})
                SELECT {_values("change", USER_COLUMNS)} FROM unnest({changes}) AS change({_names(USER_COLUMNS)})
                ON CONFLICT (id) DO UPDATE SET {kept} WHERE kept.revision = EXCLUDED.revision - 1
                RETURNING id, deleted_at
            LOOP
                stored := stored || written.id;
                IF written.deleted_at IS NOT NULL THEN
                    erased := erased || written.id;
                END IF;
            END LOOP;
            IF erased IS NOT NULL THEN
                UPDATE {schema}.{outbox_dead.name} SET payload = NULL WHERE key = ANY (erased);
            END IF;
            INSERT INTO {schema}.{outbox.name} ({_names(EVENT_COLUMNS)})
            SELECT {_values("event", EVENT_COLUMNS)} FROM unnest({events}) AS event({_names(EVENT_COLUMNS)})
            WHERE key = ANY (stored);
            RETURN QUERY SELECT unnest(stored);
        END
        $body$
    """  # noqa: S608  # names of ours


def _declared(table: str, columns: Sequence[Column[Any]]) -> list[str]:
    return [f"{table}_{c.name} {_type(c)}[]" for c in columns]


def _type(c: Column[Any]) -> str:
    return "text" if isinstance(c.type, JSON) else c.type.compile(dialect=postgresql.dialect())  # type: ignore[no-untyped-call]


def _names(columns: Sequence[Column[Any]]) -> str:
    return ", ".join(c.name for c in columns)


def _values(record: str, columns: Sequence[Column[Any]]) -> str:
    return ", ".join(f"{record}.{c.name}" + "::json" * isinstance(c.type, JSON) for c in columns)
