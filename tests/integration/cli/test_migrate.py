"""`auth-service migrate` as compose and people run it."""

import asyncio

import asyncpg
import pytest

from support import commands


async def run(folder, *arguments, **variables):
    variables = {"HOME": str(folder), **variables}
    return await asyncio.to_thread(commands.run, *arguments, env=variables, cwd=folder, within=90)


async def execute(url, statement):
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


async def test_an_older_release_on_a_newer_schema_says_so_in_a_line_and_ends_well(database_url, tmp_path):
    await execute(database_url, "UPDATE alembic_version SET version_num = '0999'")
    done = await run(tmp_path, "migrate", DATABASE_URL=database_url)
    back = await run(tmp_path, "migrate", "--revision", "base", "--yes", DATABASE_URL=database_url)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Schema is at 0999, newer than ")
    assert done.stdout.count("\n") == 1
    assert back.returncode == 69
    assert "only the release that made it" in back.stderr
    assert "Traceback" not in back.stderr


@pytest.mark.parametrize("revision", ["0004", "a1b2c3d4e5f6"])
async def test_another_applications_alembic_version_is_one_message(empty_database, tmp_path, revision):
    await execute(
        empty_database,
        f"CREATE TABLE alembic_version (version_num text); INSERT INTO alembic_version VALUES ('{revision}')",
    )
    done = await run(tmp_path, "migrate", DATABASE_URL=empty_database)

    assert (done.returncode, done.stdout) == (69, "")
    assert f"PostgreSQL: another application's schema (alembic_version is at {revision}" in done.stderr
    assert "schema=auth" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["migrate", "serve", "relay"])
async def test_a_connection_string_that_cannot_be_used_ends_every_command_at_its_start(tmp_path, command):
    done = await run(
        tmp_path,
        command,
        DATABASE_URL="postgresql://auth:hunter2@db/auth?sslmode=verify_full",
        KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:1",
    )

    assert done.returncode == 78
    assert "DATABASE_URL: sslmode is not one of disable, allow, prefer" in done.stderr
    assert "postgresql://auth:secret@localhost:5432/auth" in done.stderr
    assert "hunter2" not in done.stderr
    assert "Traceback" not in done.stderr


async def test_distribute_without_citus_says_what_is_missing_and_changes_nothing(database_url, tmp_path):
    refused = await run(tmp_path, "migrate", "--distribute", DATABASE_URL=database_url)
    older = await run(tmp_path, "migrate", "--distribute", "--revision", "0004", "--yes", DATABASE_URL=database_url)
    done = await run(tmp_path, "migrate", "--distribute", "--yes", DATABASE_URL=database_url)

    assert (refused.returncode, older.returncode, done.returncode) == (2, 2, 69)
    assert "confirm with --yes. Nothing was done." in refused.stderr
    assert "leave --revision out" in older.stderr
    assert "this database has no Citus" in done.stderr
    assert "nothing was changed" in done.stderr
    assert "Traceback" not in done.stderr
