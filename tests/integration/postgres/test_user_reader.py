"""Concurrent readers share a statement, and none of them sees less than it may."""

import asyncio
from functools import partial

import asyncpg
import msgspec
import pytest

from adapters.postgres.connection.target import read_target
from adapters.postgres.engine import create_engine
from adapters.postgres.statements import BY_KEY, READ
from adapters.postgres.user_reader import PostgresUserReader
from application.errors import StoreUnavailableError
from domain.sync_user import sync_user
from domain.user import UserId
from integration.postgres.test_group_commit import creation
from support.memory import living
from support.statements import statements
from support.users import USER, snapshot


async def test_a_lone_reader_is_one_statement(store, engine):
    await creation(store, USER)
    reader = PostgresUserReader(engine)
    async with statements(engine) as seen:
        await reader.get(USER)

    assert len(seen) == 1


async def test_32_concurrent_readers_need_well_under_one_statement_each(store, engine):
    users = [UserId(f"user_{number}") for number in range(32)]
    await asyncio.gather(*(creation(store, user_id) for user_id in users))
    reader = PostgresUserReader(engine)

    async def read_repeatedly(user_id: UserId) -> None:
        for _ in range(10):
            assert living(await reader.get(user_id)).id == user_id

    async with statements(engine) as seen:
        await asyncio.gather(*(read_repeatedly(user_id) for user_id in users))

    assert len(seen) / 320 < 0.25


async def test_a_reader_sees_what_was_committed_before_it_asked_though_a_statement_is_in_flight(store, engine):
    reader = PostgresUserReader(engine)
    for at in range(1000, 1050):
        earlier = asyncio.create_task(reader.get(USER))
        await asyncio.sleep(0)
        written = await store.change(USER, partial(sync_user, snapshot=snapshot(at=at, first_name=f"{at}")))
        seen = await reader.get(USER)
        await earlier

        assert seen == written.user


async def test_a_reader_that_gives_up_does_not_disturb_the_others(store, engine):
    await creation(store, USER)
    reader = PostgresUserReader(engine)
    impatient, patient = asyncio.create_task(reader.get(USER)), asyncio.create_task(reader.get(USER))
    await asyncio.sleep(0)
    impatient.cancel()

    assert living(await patient).id == USER


async def test_a_cut_connection_fails_those_in_flight_and_nobody_after_them(store, engine, database_url):
    await creation(store, USER)
    reader = PostgresUserReader(engine)
    await reader.get(USER)
    connection = await asyncpg.connect(database_url)
    await connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND application_name = 'tests'"
    )
    await connection.close()

    results = [await asyncio.gather(reader.get(USER), return_exceptions=True) for _ in range(3)]

    assert living(results[-1][0]).id == USER


async def test_a_database_that_does_not_answer_is_told_in_bounded_time(engine, database_url):
    blocker = await asyncpg.connect(database_url)
    transaction = blocker.transaction()
    await transaction.start()
    await blocker.execute("LOCK TABLE users IN ACCESS EXCLUSIVE MODE")
    reader = PostgresUserReader(engine, limit_s=0.3)

    with pytest.raises(StoreUnavailableError):
        await reader.get(USER)
    await transaction.rollback()
    await blocker.close()
    assert await reader.get(USER) is None


@pytest.mark.one_server
@pytest.mark.parametrize("rows", [0, 20_000])
async def test_the_read_uses_the_primary_key_whatever_the_table_looked_like_when_it_was_planned(database_url, rows):
    connection = await asyncpg.connect(
        database_url, server_settings={**BY_KEY, "plan_cache_mode": "force_generic_plan"}
    )
    await connection.execute(
        "INSERT INTO users (id, version, revision, email_verified, banned, locked)"
        " SELECT 'user_' || n, 1, 1, false, false, false FROM generate_series(1, $1::int) n",
        rows,
    )
    await connection.execute(f"PREPARE read AS {READ.sql}")
    plan = "\n".join(row[0] for row in await connection.fetch("EXPLAIN EXECUTE read ('{user_1,user_2}')"))
    await connection.close()

    assert "Index Scan using users_pkey" in plan, plan


async def test_a_server_that_is_gone_is_unavailable_at_once():
    engine = create_engine(read_target("postgresql://nobody@127.0.0.1:1/none"), pool_size=1, application_name="tests")

    with pytest.raises(StoreUnavailableError):
        await PostgresUserReader(engine).get(USER)


async def test_a_row_that_cannot_be_read_is_told_at_once(store, engine, database_url):
    await creation(store, USER)
    connection = await asyncpg.connect(database_url)
    await connection.execute("UPDATE users SET emails = '7'")
    await connection.close()
    reader = PostgresUserReader(engine)

    with pytest.raises(msgspec.ValidationError):
        await reader.get(USER)
