import asyncio
import os
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text
from sqlalchemy.ext.asyncio import create_async_engine

from adapters.postgres import migrate as migrations
from adapters.postgres.citus import HOLDER, WRITER
from adapters.postgres.connection.target import read_target
from adapters.postgres.doctor import examine_database
from adapters.postgres.engine import create_engine
from adapters.postgres.failures import DATABASE_ERRORS, Responsible, cause_of, fault_of
from adapters.postgres.health import check_database
from adapters.postgres.migrate import migrate
from adapters.postgres.revisions import MIGRATIONS, known_revisions, read_schema
from adapters.postgres.tables import metadata
from application.doctor.database import database_findings
from application.doctor.findings import Severity
from application.errors import StoreUnavailableError
from application.failure import Cause
from application.relay.lanes import LANES

HEAD = "0005"


@pytest.fixture
async def engine(empty_database):
    engine = create_engine(read_target(empty_database), pool_size=2, application_name="tests")
    yield engine
    await engine.dispose()


async def execute(engine, statement):
    async with engine.begin() as connection:
        await connection.execute(text(statement))


def described(connection: Connection) -> dict[str, object]:
    inspector = inspect(connection)
    return {
        table: (
            [(c["name"], str(c["type"]), c["nullable"], c["default"]) for c in inspector.get_columns(table)],
            inspector.get_pk_constraint(table),
            inspector.get_indexes(table),
            inspector.get_unique_constraints(table),
            inspector.get_check_constraints(table),
        )
        for table in sorted(set(inspector.get_table_names()) - {"alembic_version"})
    }


async def test_up_down_and_up_again_gives_the_same_schema(engine):
    await migrate(engine)
    async with engine.begin() as connection:
        first = await connection.run_sync(described)
    await migrate(engine, "base")
    async with engine.begin() as connection:
        empty = await connection.run_sync(described)
    await migrate(engine)
    async with engine.begin() as connection:
        second = await connection.run_sync(described)

    assert empty == {}
    assert second == first
    assert len(first) == 7


async def test_the_migrated_schema_equals_the_tables_in_code(engine, database_url):
    await migrate(engine)
    reflecting = create_async_engine(database_url.replace("postgresql://", "postgresql+asyncpg://"))  # JSON is read
    async with reflecting.begin() as connection:
        differences = await connection.run_sync(
            lambda sync: compare_metadata(MigrationContext.configure(sync, opts={"compare_type": True}), metadata)
        )
        migrated = await connection.run_sync(described)
        # compare_metadata looks at neither check constraints nor the names of keys: build the code's own and compare.
        await connection.run_sync(metadata.drop_all)
        await connection.run_sync(metadata.create_all)
        from_code = await connection.run_sync(described)
    await reflecting.dispose()

    assert differences == []
    assert migrated == from_code


async def test_migrating_twice_at_once_is_safe(engine):
    results = await asyncio.gather(migrate(engine), migrate(engine))

    assert set(results) == {(None, HEAD), (HEAD, HEAD)}
    async with engine.begin() as connection:
        assert (await read_schema(connection)).revision == HEAD


async def test_every_lane_has_its_row(engine):
    await migrate(engine)
    async with engine.begin() as connection:
        lanes = (await connection.execute(text("SELECT lane FROM outbox_lane ORDER BY lane"))).scalars().all()

    assert lanes == list(range(LANES))


async def test_a_tombstone_cannot_hold_personal_data(engine):
    await migrate(engine)

    with pytest.raises(Exception, match="tombstone_holds_no_personal_data"):
        async with engine.begin() as connection:
            await connection.execute(
                text(
                    "INSERT INTO users (id, version, revision, email_verified, banned, locked, deleted_at, phone)"
                    " VALUES ('user_1', 1, 1, false, false, false, now(), '+1')"
                )
            )


async def test_an_unreachable_database_is_told_clearly():
    engine = create_engine(read_target("postgresql://nobody@127.0.0.1:1/none"), pool_size=1, application_name="tests")

    with pytest.raises(StoreUnavailableError, match="migration failed"):
        await migrate(engine)


async def test_every_unique_constraint_of_what_belongs_to_a_user_holds_the_users_id(engine):
    """So that these tables can be spread over servers by user."""
    await migrate(engine)
    async with engine.begin() as connection:
        rows = await connection.execute(
            text(
                "SELECT indrelid::regclass::text AS of, array_agg(attname::text) AS columns FROM pg_index"
                " JOIN pg_attribute ON attrelid = indrelid AND attnum = ANY(indkey)"
                " WHERE indisunique AND indrelid = ANY(ARRAY['users', 'outbox', 'outbox_dead']::regclass[])"
                " GROUP BY indexrelid, indrelid"
            )
        )
        unique = [(row.of, row.columns) for row in rows]

    assert len(unique) >= 3
    assert all(("id" if table == "users" else "key") in columns for table, columns in unique), unique


async def test_a_migration_waits_for_a_table_no_longer_than_it_may(engine, empty_database, monkeypatch):
    monkeypatch.setattr(migrations, "LOCK_TIMEOUT_MS", 200)
    await migrate(engine, "0001")
    holder = await asyncpg.connect(empty_database)
    await holder.execute("BEGIN; LOCK TABLE outbox_dead IN ACCESS SHARE MODE")

    with pytest.raises(StoreUnavailableError, match="lock timeout"):
        await migrate(engine)
    async with engine.begin() as connection:
        assert (await read_schema(connection)).revision == "0001"
    await holder.close()
    await migrate(engine)


@pytest.mark.parametrize("valid", [True, False])
async def test_an_index_that_was_built_before_is_taken_if_it_was_finished(engine, empty_database, valid):
    await migrate(engine, "0001")
    connection = await asyncpg.connect(empty_database)
    await connection.execute(
        "CREATE INDEX CONCURRENTLY users_lower_email_idx ON users USING hash (lower(email)) WHERE email IS NOT NULL"
    )
    await connection.execute(
        "UPDATE pg_index SET indisvalid = $1 WHERE indexrelid = 'users_lower_email_idx'::regclass", valid
    )
    before = await connection.fetchval("SELECT 'users_lower_email_idx'::regclass::oid")
    await migrate(engine)
    after = await connection.fetchrow(
        "SELECT indexrelid AS oid, indisvalid FROM pg_index WHERE indexrelid = 'users_lower_email_idx'::regclass"
    )
    await connection.close()

    assert after["indisvalid"]
    assert (after["oid"] == before) == valid


async def test_a_schema_of_a_newer_release_is_left_alone_and_serves(engine):
    await migrate(engine)
    await execute(engine, "UPDATE alembic_version SET version_num = '0099'")

    assert await migrate(engine) == ("0099", "0099")
    await check_database(engine)
    with pytest.raises(StoreUnavailableError, match="at 0099, newer than"):
        await migrate(engine, "base")


async def test_distributed_users_without_the_functions_of_this_release_are_not_ready(engine):
    await migrate(engine)
    # What Citus, and `migrate` of the release before, leave of what this release looks for.
    await execute(engine, "CREATE TABLE pg_dist_partition (logicalrelid regclass, partmethod text)")
    await execute(engine, f"CREATE FUNCTION {HOLDER}(text[], bigint[]) RETURNS boolean LANGUAGE sql AS 'SELECT true'")
    await check_database(engine)  # no table is distributed any more

    await execute(engine, "INSERT INTO pg_dist_partition VALUES ('users', 'h')")
    with pytest.raises(StoreUnavailableError, match=WRITER) as refused:
        await check_database(engine)
    assert refused.value.failure.cause is Cause.NOT_MIGRATED

    await execute(engine, f"CREATE FUNCTION {WRITER}(text, text, text) RETURNS text LANGUAGE sql AS 'SELECT $1'")
    await check_database(engine)


@pytest.mark.parametrize(
    ("revisions", "tables"),
    [
        (["a1b2c3d4e5f6"], ()),
        (["0004"], ()),
        (["0099"], ()),
        (["0004"], ("users",)),
        (["0004", "a1b2c3d4e5f6"], ()),
        (["a1b2c3d4e5f6"], ("outbox_lane", "outbox_dead")),
        (["5"], ("outbox_lane", "outbox_dead")),
    ],
)
async def test_another_applications_schema_is_told_and_left_alone(engine, revisions, tables):
    await execute(engine, "CREATE TABLE alembic_version (version_num varchar(32) NOT NULL)")
    for revision in revisions:
        await execute(engine, f"INSERT INTO alembic_version VALUES ('{revision}')")
    for table in tables:
        await execute(engine, f"CREATE TABLE {table} (id text)")

    with pytest.raises(StoreUnavailableError, match="another application's schema") as refused:
        await migrate(engine)
    with pytest.raises(StoreUnavailableError, match="another application's") as not_ready:
        await check_database(engine)
    facts = await examine_database(engine)
    async with engine.begin() as connection:
        left = await connection.run_sync(described)

    assert {refused.value.failure.cause, not_ready.value.failure.cause} == {Cause.FOREIGN_SCHEMA}
    assert [finding.says for finding in database_findings(facts) if finding.check == "schema"] == [
        f"alembic_version, at {', '.join(revisions)}, is another application's"
    ]
    assert sorted(left) == sorted(tables)


async def test_beside_another_application_a_schema_of_its_own_is_enough(engine, empty_database):
    await execute(engine, "CREATE TABLE alembic_version (version_num varchar(32) NOT NULL)")
    await execute(engine, "INSERT INTO alembic_version VALUES ('0004')")
    await execute(engine, "CREATE TABLE users (id text)")
    await execute(engine, 'CREATE SCHEMA "Auth 1"')
    own = create_engine(read_target(f"{empty_database}?schema=Auth%201"), pool_size=1, application_name="tests")

    assert await migrate(own) == (None, HEAD)
    await check_database(own)
    await own.dispose()


async def test_a_revision_that_does_not_exist_is_told_without_a_traceback(engine):
    with pytest.raises(StoreUnavailableError, match="nonsense"):
        await migrate(engine, "nonsense")


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
async def test_a_database_that_cannot_hold_every_name_is_refused_early(postgres_address, encoding):
    name = f"not_utf8_{encoding.lower()}_{os.getpid()}"
    admin = await asyncpg.connect(postgres_address)
    await admin.execute(f"CREATE DATABASE {name} ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0")
    url = urlunsplit(urlsplit(postgres_address)._replace(path=f"/{name}"))
    engine = create_engine(read_target(url), pool_size=1, application_name="tests")
    try:
        for step in (migrate, check_database):
            with pytest.raises(StoreUnavailableError, match=f"not UTF-8 \\(encoding {encoding}") as refused:
                await step(engine)
            assert refused.value.failure.cause is Cause.ENCODING
        if encoding == "LATIN1":  # what comes in all the same is not the sender's fault
            with pytest.raises(DATABASE_ERRORS) as untranslatable:
                async with engine.begin() as connection:
                    await connection.execute(text("SELECT CAST(:name AS text)"), {"name": "Ünï😀"})
            assert fault_of(untranslatable.value) is Responsible.DATABASE
            assert cause_of(untranslatable.value) is Cause.ENCODING
        [finding] = [each for each in database_findings(await examine_database(engine)) if each.check == "encoding"]
        assert finding.severity is Severity.FAILURE
    finally:
        await engine.dispose()
        await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
        await admin.close()


def test_the_revisions_that_health_knows_are_alembics():
    scripts = ScriptDirectory(str(MIGRATIONS))

    assert list(known_revisions()) == [script.revision for script in scripts.walk_revisions()][::-1]
