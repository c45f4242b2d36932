"""Database URLs as people really write them, and a server that changes under a pool."""

import pytest
from sqlalchemy import text

from adapters.postgres.asyncpg_execution import directly
from adapters.postgres.connection.target import read_target
from adapters.postgres.engine import create_engine
from adapters.postgres.failures import DATABASE_ERRORS, Responsible, cause_of, fault_of
from application.failure import Cause


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
