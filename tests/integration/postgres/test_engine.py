"""Database URLs as people really write them, and a server that changes under a pool."""

import asyncio

import asyncpg
import pytest
from sqlalchemy import text

from adapters.postgres.asyncpg_execution import directly
from adapters.postgres.connection.dial import STATEMENT_TIMEOUT_S, Dialer
from adapters.postgres.connection.target import read_target
from adapters.postgres.engine import create_engine
from adapters.postgres.failures import DATABASE_ERRORS, Responsible, cause_of, fault_of
from application.failure import Cause
from support.proxy import to_url


@pytest.mark.parametrize(
    "query",
    [
        "",
        "sslmode=disable",
        "sslmode=prefer&channel_binding=prefer&connect_timeout=10",
        "schema=public&connection_limit=5&pool_timeout=2",
        "application_name=mine&keepalives=1",
        "options=-c%20search_path%3Dpublic",
        "pgbouncer=true",
    ],
)
async def test_a_url_as_other_tools_write_it_connects(database_url, query):
    engine = create_engine(read_target(f"{database_url}?{query}"), pool_size=1, application_name="tests")
    async with engine.begin() as connection:
        users = (await connection.execute(text("SELECT count(*) FROM users"))).scalar()
    await engine.dispose()

    assert users == 0


@pytest.mark.parametrize("connect", [directly, lambda engine: engine.connect()], ids=["directly", "connect"])
async def test_a_server_that_lets_nobody_in_is_at_fault_and_says_why(database_url, connect):
    engine = create_engine(read_target(f"{database_url}_nowhere"), pool_size=1, application_name="tests")

    with pytest.raises(DATABASE_ERRORS) as refused:
        async with connect(engine):
            pass
    await engine.dispose()

    assert fault_of(refused.value) is Responsible.DATABASE
    assert cause_of(refused.value) is Cause.NO_DATABASE


async def test_a_pool_leaves_a_server_that_became_read_only(database_url):
    engine = create_engine(read_target(database_url), pool_size=1, application_name="tests")

    async def backend() -> int:
        async with engine.begin() as connection:
            return (await connection.execute(text("SELECT pg_backend_pid()"))).scalar()

    before = await backend()
    async with engine.begin() as connection:  # as an old primary does after a failover
        await connection.execute(text("SET default_transaction_read_only = on"))
    with pytest.raises(DATABASE_ERRORS) as caught:
        async with engine.begin() as connection:
            await connection.execute(text("INSERT INTO relay (name, seen_at) VALUES ('r', now())"))
    after = await backend()
    await engine.dispose()

    assert fault_of(caught.value) is Responsible.CONNECTION
    assert after != before


@pytest.mark.parametrize("query", ["", "?pgbouncer=true"], ids=["directly", "as behind a pooler"])
async def test_who_comes_after_a_statement_that_was_cancelled_has_a_connection_that_works(database_url, query):
    engine = create_engine(read_target(database_url + query), pool_size=1, application_name="tests")

    async def ask(question: str) -> int:
        async with directly(engine) as driver:
            return await driver.fetchval(question)

    cancelled = asyncio.create_task(ask("SELECT 1 FROM pg_sleep(30)"))
    await asyncio.sleep(0.2)
    cancelled.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cancelled

    assert await ask("SELECT 1") == 1
    await engine.dispose()


async def test_a_connection_that_cannot_be_set_up_is_not_left_open(database_url):
    admin = await asyncpg.connect(database_url)
    await admin.execute("CREATE SCHEMA shadow")
    await admin.execute(
        "CREATE FUNCTION shadow.to_regclass(text) RETURNS regclass LANGUAGE sql AS 'SELECT (1 / 0)::oid::regclass'"
    )
    dial = Dialer(
        target=read_target(database_url),
        application_name="not-set-up",
        settings={"search_path": "shadow, pg_catalog"},
    )

    with pytest.raises(asyncpg.DivisionByZeroError):
        await dial()

    async with asyncio.timeout(60):
        while await admin.fetchval("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'not-set-up'"):
            await asyncio.sleep(0.05)
    await admin.close()


async def test_a_silent_connection_that_is_older_than_a_lost_one_is_replaced_at_once(database_url):
    with to_url(database_url) as (between, url):
        engine = create_engine(read_target(url), pool_size=1, application_name="tests")
        async with directly(engine) as driver:
            await driver.fetchval("SELECT 1")
        between.half_open()
        engine.get_execution_options()["dialer"].losses += 1  # as another connection found out
        async with asyncio.timeout(STATEMENT_TIMEOUT_S - 1), directly(engine) as driver:
            assert await driver.fetchval("SELECT 1") == 1
        await engine.dispose()


async def _until_closed(engine):
    """Have the server close the engine's only connection, and wait until the driver knows."""
    async with directly(engine) as driver:
        await driver.execute("SET idle_session_timeout = 1")
    async with asyncio.timeout(60):
        while not driver.is_closed():
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("connect", [directly, lambda engine: engine.connect()], ids=["directly", "connect"])
async def test_a_connection_that_was_closed_while_nobody_used_it_is_replaced_without_an_error(database_url, connect):
    engine = create_engine(read_target(database_url), pool_size=1, application_name="tests")
    await _until_closed(engine)

    async with connect(engine) as connection:
        await connection.execute("SELECT 1" if connect is directly else text("SELECT 1"))
    await engine.dispose()


async def test_who_asked_for_it_is_told_once_of_a_connection_that_was_closed(database_url):
    engine = create_engine(read_target(database_url), pool_size=1, application_name="tests", tells_losses=True)
    await _until_closed(engine)

    with pytest.raises(DATABASE_ERRORS) as told:
        async with directly(engine) as driver:
            await driver.execute("SELECT 1")
    async with directly(engine) as driver:
        await driver.execute("SELECT 1")
    await engine.dispose()

    assert fault_of(told.value) is Responsible.CONNECTION


@pytest.mark.parametrize("query", ["", "?pgbouncer=true"], ids=["directly", "as behind a pooler"])
@pytest.mark.parametrize("connect", [directly, lambda engine: engine.connect()], ids=["directly", "connect"])
async def test_every_transaction_is_read_committed_whatever_the_database_defaults_to(database_url, connect, query):
    admin = await asyncpg.connect(database_url)
    name = await admin.fetchval("SELECT quote_ident(current_database())")
    await admin.execute(f"ALTER DATABASE {name} SET default_transaction_isolation = 'serializable'")
    await admin.close()
    engine = create_engine(read_target(database_url + query), pool_size=1, application_name="tests")
    shown = "SHOW transaction_isolation"

    async with connect(engine) as connection:
        if connect is directly:
            isolation = await connection.fetchval(shown)
        else:
            isolation = (await connection.execute(text(shown))).scalar()
    await engine.dispose()

    assert isolation == "read committed"
