import asyncio

import asyncpg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text

from adapters.postgres import migrate as migrate_module
from adapters.postgres.engine import create_engine
from adapters.postgres.migrate import migrate, revisions
from adapters.postgres.revisions import MIGRATIONS, known_revisions
from adapters.postgres.tables import metadata
from application.errors import StoreUnavailableError
from application.lanes import LANES

HEAD = "0004"


@pytest.fixture
async def engine(empty_database):
    engine = create_engine(empty_database, pool_size=2, application_name="tests")
    yield engine
    await engine.dispose()


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
    assert len(first) == 6


async def test_the_migrated_schema_equals_the_tables_in_code(engine):
    await migrate(engine)
    async with engine.begin() as connection:
        differences = await connection.run_sync(
            lambda sync: compare_metadata(MigrationContext.configure(sync, opts={"compare_type": True}), metadata)
        )
        migrated = await connection.run_sync(described)
        # compare_metadata looks at neither check constraints nor the names of keys: build the code's own and compare.
        await connection.run_sync(metadata.drop_all)
        await connection.run_sync(metadata.create_all)
        from_code = await connection.run_sync(described)

    assert differences == []
    assert migrated == from_code


async def test_migrating_twice_at_once_is_safe(engine):
    results = await asyncio.gather(migrate(engine), migrate(engine))

    assert set(results) == {(None, HEAD), (HEAD, HEAD)}
    assert await revisions(engine) == (HEAD, HEAD)


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
    engine = create_engine("postgresql://nobody@127.0.0.1:1/none", pool_size=1, application_name="tests")

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
    monkeypatch.setattr(migrate_module, "LOCK_TIMEOUT_MS", 200)
    await migrate(engine, "0001")
    holder = await asyncpg.connect(empty_database)
    await holder.execute("BEGIN; LOCK TABLE outbox_dead IN ACCESS SHARE MODE")

    with pytest.raises(StoreUnavailableError, match="lock timeout"):
        await migrate(engine)
    assert (await revisions(engine))[0] == "0001"
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


def test_the_revisions_that_health_knows_are_alembics():
    scripts = ScriptDirectory(str(MIGRATIONS))

    assert list(known_revisions()) == [script.revision for script in scripts.walk_revisions()][::-1]
