"""Which plans PostgreSQL takes for a relay's statements, and how many statements a round is."""

import asyncio
import re
from functools import partial

import asyncpg
import pytest

from adapters.postgres import outbox as postgres_outbox
from adapters.postgres.connection.target import read_target
from adapters.postgres.engine import create_engine
from adapters.postgres.outbox import INDEX_PLANS, PostgresOutbox
from adapters.postgres.outbox_admin import PostgresOutboxAdmin
from application.relay.lanes import LANES
from application.relay.relay_events import RelayEvents
from domain.sync_user import sync_user
from domain.user import UserId
from support.memory import MemoryPublisher
from support.statements import statements
from support.users import snapshot

ALL = range(LANES)

_FEW = "'{user_1}', '{1}', '{}', '{6f2e9d1c-0000-4000-8000-000000000000}', '{2026-11-30}', '{1,2,3}', 10"
_GONE = "'{user_1,user_2}', 1, '{}', '{6f2e9d1c-0000-4000-8000-000000000000}', '{2026-11-30}'"


@pytest.mark.one_server
@pytest.mark.parametrize("mode", ["force_generic_plan", "force_custom_plan"])
@pytest.mark.parametrize(("rows", "known"), [(0, None), (50_000, None), (50_000, "it was empty")])
async def test_the_relays_statements_use_the_index_whatever_the_table_looked_like_when_they_were_planned(
    database_url, rows, known, mode
):
    connection = await asyncpg.connect(database_url, server_settings=INDEX_PLANS)
    await connection.execute(
        "INSERT INTO outbox (key, version, lane, event_id, type, occurred_at, payload)"
        " SELECT 'user_' || n, 1, n % 64, gen_random_uuid(), 't', now(), 'x' FROM generate_series(1, $1::int) n",
        rows,
    )
    if known:  # what ANALYZE leaves of a table that is empty at that moment, and has been larger
        await connection.execute("UPDATE pg_class SET reltuples = 0, relpages = 5000 WHERE relname = 'outbox'")
    await connection.execute(f"SET plan_cache_mode = {mode}")
    plans = ""
    for name, statement, arguments in (
        ("oldest", postgres_outbox._OLDEST, "'{1,2,3}', 10"),
        ("lowest", postgres_outbox._LOWEST, "'{1,2,3}', 10"),
        ("gone", postgres_outbox._DELETE, _GONE),
        ("overtaken", postgres_outbox._DELETE_OVERTAKEN, _GONE),
        ("few", postgres_outbox._DELETE_FEW_AND_READ, _FEW),
    ):
        await connection.execute(f"PREPARE {name} AS {statement.sql}")
        plan = await connection.fetch(f"EXPLAIN EXECUTE {name} ({arguments})")
        plans += "\n".join(row[0] for row in plan) + "\n"
    await connection.close()

    assert plans.count("Index Scan using outbox_lane_idx") == 3, plans
    assert plans.count("Index Scan using outbox_pkey") == 4, plans
    assert len(re.findall("Index (?:Only )?Scan using users_pkey", plans)) == 1, plans
    assert re.search(r"Index Cond: \(\(key = ANY \(\S+\)\) AND \(version <= \S+\)\)", plans), plans
    assert "Seq Scan" not in plans
    assert "Sort" not in plans


@pytest.mark.one_server
async def test_what_waits_is_counted_in_the_order_of_the_table_also_on_a_relays_connection(database_url):
    """By an index that is a random access for each row, which took a relay ten times as long for a million events."""
    engine = create_engine(read_target(database_url), pool_size=1, application_name="tests", settings=INDEX_PLANS)
    async with engine.begin() as connection:
        await connection.exec_driver_sql(
            "INSERT INTO outbox (key, version, lane, event_id, type, occurred_at, payload)"
            " SELECT 'user_' || n, 1, n % 64, gen_random_uuid(), 't', now(), 'x' FROM generate_series(1, 20000) n"
        )

    status = await PostgresOutboxAdmin(engine).status()
    async with engine.begin() as connection:
        await connection.exec_driver_sql("SELECT pg_stat_force_next_flush()")
    async with engine.begin() as connection:
        counts = "SELECT seq_scan, seq_tup_read FROM pg_stat_user_tables WHERE relname = 'outbox'"
        scans = (await connection.exec_driver_sql(counts)).one()
    await engine.dispose()

    assert status.waiting == 20_000
    assert tuple(scans) == (1, 20_000)


@pytest.mark.one_server
async def test_a_small_round_is_one_statement_that_deletes_what_the_last_one_published(store, engine):
    outbox, publisher = PostgresOutbox(engine), MemoryPublisher()
    run_round = RelayEvents(outbox, publisher)

    async with statements(engine) as seen:
        for number in range(3):
            news = snapshot(UserId(f"user_{number}"))
            await store.change(news.id, partial(sync_user, snapshot=news))
            await run_round(ALL, 1000)
        nothing = await run_round(ALL, 1000)

    assert len(publisher.delivered) == 3
    assert nothing.taken == 0
    assert len([statement for statement in seen if "lateral" in statement.lower()]) == len(seen) - 3 * 2 == 4


@pytest.mark.one_server
async def test_a_round_is_two_statements_however_many_events_it_carries(store, engine):
    outbox = PostgresOutbox(engine)
    await asyncio.gather(
        *(
            store.change(news.id, partial(sync_user, snapshot=news))
            for news in (snapshot(UserId(f"user_{number}")) for number in range(200))
        )
    )

    async with statements(engine) as seen:
        batch = await outbox.oldest(ALL, 1000)
        await outbox.delete(batch)

    assert len(batch) == 200
    assert len(seen) == 2
