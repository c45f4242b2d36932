"""Users distributed over the workers of a Citus cluster: reads and writes that one worker runs alone.

A batch written by one statement over several workers is planned for each of its parts, moved between the servers and
committed in two phases: a fifth of the rate of one server. So a batch is divided by worker, and each part is written
to its shards on a connection to that worker (`shards.py`), or, where that cannot be, by a function that the coordinator
has its worker run (Citus documentation, `create_distributed_function`), at five times the cost.
"""

from collections.abc import Sequence

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.postgres.asyncpg_execution import Compiled
from adapters.postgres.connection.dial import Driver
from adapters.postgres.revisions import known_revisions
from adapters.postgres.statements import (
    EVENT_COLUMNS,
    EVENT_NAMES,
    EVENT_VALUES,
    UPSERT,
    USER_COLUMNS,
    USER_NAMES,
    USER_VALUES,
    Stored,
    Write,
    in_json,
    rows_of,
    stored_from,
)
from adapters.postgres.tables import outbox, outbox_dead, users
from domain.user import UserId

READER, WRITER = f"read_users_{known_revisions()[-1]}", f"store_users_{known_revisions()[-1]}"
"""The functions of this release's schema; those of the release before stay, for its processes."""

HOLDER = "hold_shards_of_users"
"""Each release has the same one, so it tells of distributed users before this release's functions exist."""

FUNCTIONS_MISSING = f"to_regproc('{HOLDER}') IS NOT NULL AND to_regproc('{WRITER}') IS NULL"
"""If users are still distributed, `migrate` was not run with this release, which then writes as to one server."""

SHARD_ELSEWHERE = "SH001"
"""SQLSTATE of `HOLDER`: a user's shard is not on this server, or not among those that the statement knows."""

_IS_DISTRIBUTED = Compiled(f"SELECT to_regproc('{WRITER}') IS NOT NULL AS distributed")
_USERS_ARE_DISTRIBUTED = text("""
    SELECT EXISTS (SELECT FROM pg_dist_partition WHERE logicalrelid = to_regclass('users') AND partmethod = 'h')
""")
_READ = Compiled(f"SELECT * FROM {READER}(:first, :ids)")  # noqa: S608
_WRITE = Compiled(f"SELECT id FROM {WRITER}(:first, :users, :events) AS stored (id)")  # noqa: S608


async def is_distributed(driver: Driver) -> bool:
    """Tell whether `migrate --distribute` was run on this database."""
    [row] = await _IS_DISTRIBUTED.fetch(driver, {})
    return bool(row["distributed"])


async def read_on_worker(driver: Driver, ids: Sequence[UserId]) -> dict[UserId, Stored]:
    """Do as `statements.read`, through the coordinator on the worker that has these users."""
    return stored_from(await _READ.fetch(driver, {"first": ids[0], "ids": list(ids)}))


async def write_on_worker(driver: Driver, writes: Sequence[Write]) -> set[UserId]:
    """Do as `statements.write`, through the coordinator on the worker that has these users."""
    return {row["id"] for row in await _WRITE.fetch(driver, {"first": writes[0].user_id, **in_json(writes)})}


async def users_are_distributed(connection: AsyncConnection) -> bool:
    """Tell whether the table is, whatever functions exist."""
    if not (await connection.execute(text("SELECT to_regclass('pg_dist_partition') IS NOT NULL"))).scalar():
        return False
    return bool((await connection.execute(_USERS_ARE_DISTRIBUTED)).scalar())


async def create_functions(connection: AsyncConnection) -> None:
    """Create the functions that run on a worker, if users are distributed and this schema's do not exist yet."""
    if not await users_are_distributed(connection):
        return
    schema = (await connection.execute(text("SELECT quote_ident(current_schema())"))).scalar_one()
    by_first = ", 'first', colocate_with => 'users'"
    for name, definition, run in (
        (HOLDER, _holder(schema), ""),
        (READER, _reader(schema), by_first),
        (WRITER, _writer(schema), by_first),
    ):
        if not (await connection.execute(text(f"SELECT to_regproc('{name}') IS NOT NULL"))).scalar():
            await connection.exec_driver_sql(definition)
            function = f"to_regproc('{name}')::oid::regprocedure"
            await connection.execute(text(f"SELECT create_distributed_function({function}{run})"))


def _holder(schema: str) -> str:
    """Return the function that locks users' shards in their place until the transaction ends, or fails.

    A move or split of a shard takes the same lock on all servers, exclusively, before it gives up the old place, and
    Citus' own writes share it (Citus, `src/backend/distributed/README.md`). Each of the function's statements sees what
    was committed before it began, hence the place after the lock.
    """
    return f"""
        CREATE FUNCTION {schema}.{HOLDER}(ids text[], known bigint[]) RETURNS boolean
        LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
        DECLARE
            held bigint[] := ARRAY(
                SELECT DISTINCT get_shard_id_for_distribution_column('{schema}.{users.name}', id)
                FROM unnest(ids) AS id ORDER BY 1
            );
        BEGIN
            PERFORM lock_shard_metadata(5, held);
            -- Each has one place, and it is here.
            IF NOT held <@ known OR (
                SELECT count(*) <> cardinality(held) OR bool_or(groupid <> (SELECT groupid FROM pg_dist_local_group))
                FROM pg_dist_placement WHERE shardid = ANY (held)
            ) THEN
                RAISE EXCEPTION 'a shard is elsewhere' USING ERRCODE = '{SHARD_ELSEWHERE}';
            END IF;
            RETURN true;
        END
        $body$
    """  # noqa: S608  # names of ours


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

    Its first argument is one of the users, whose worker runs the function. Three statements, because Citus plans one
    that modifies several tables in parts; row by row, each row would be planned (50 times as long).
    """
    return f"""
        CREATE OR REPLACE FUNCTION {schema}.{WRITER}(first text, changes text, events text) RETURNS SETOF text
        LANGUAGE plpgsql AS $body$
        #variable_conflict use_column
        DECLARE
            written record;
            stored text[] := '{{}}';
            erased text[];
        BEGIN
            FOR written IN
                INSERT INTO {schema}.{users.name} AS kept ({USER_NAMES})
                SELECT {USER_VALUES} FROM {rows_of("change", USER_COLUMNS, "changes")}
                {UPSERT}
            LOOP
                stored := stored || written.id;
                IF written.deleted_at IS NOT NULL THEN
                    erased := erased || written.id;
                END IF;
            END LOOP;
            IF erased IS NOT NULL THEN
                UPDATE {schema}.{outbox_dead.name} SET payload = NULL WHERE key = ANY (erased);
            END IF;
            INSERT INTO {schema}.{outbox.name} ({EVENT_NAMES})
            SELECT {EVENT_VALUES} FROM {rows_of("event", EVENT_COLUMNS, "events")} WHERE key = ANY (stored);
            RETURN QUERY SELECT unnest(stored);
        END
        $body$
    """  # noqa: S608  # names of ours
