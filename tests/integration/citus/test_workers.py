"""A batch is written on connections to the workers that have its users; where there are none, the coordinator helps."""

import asyncio
from functools import partial

import asyncpg
import pytest

from adapters.kafka.cloudevents import encode
from adapters.postgres.connection.target import read_target
from adapters.postgres.engine import create_engine
from adapters.postgres.shards import Workers
from adapters.postgres.user_store import PostgresUserStore
from domain.sync_user import sync_user
from domain.user import UserId
from support.citus import nodes
from support.users import snapshot

pytestmark = pytest.mark.citus

USERS = [UserId(f"user_{number}") for number in range(40)]


@pytest.fixture
async def engine(database_url):
    engine = create_engine(read_target(database_url), pool_size=2, application_name="tests")
    yield engine
    await engine.dispose()


@pytest.fixture
async def store(engine):
    store = PostgresUserStore(engine, encode, lambda _: None)
    await store.start()
    yield store
    await store.aclose()


@pytest.fixture
async def workers(database_url):
    _, *urls = await nodes(database_url)
    return urls


async def change_all(store: PostgresUserStore, at: int) -> list[int]:
    decisions = await asyncio.gather(
        *(store.change(user, partial(sync_user, snapshot=snapshot(user, at=at, first_name=f"{at}"))) for user in USERS)
    )
    return [decision.user.version for decision in decisions]


async def at_each(urls: list[str], question: str) -> list[int]:
    answers = []
    for url in urls:
        connection = await asyncpg.connect(url, server_settings={"application_name": "looking"})
        answers.append(await connection.fetchval(question))
        await connection.close()
    return answers


async def test_each_part_of_a_batch_is_written_on_a_connection_to_its_worker(store, workers):
    assert await change_all(store, 1000) == [1] * len(USERS)
    assert await at_each(
        workers,
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'tests'"
        " AND query LIKE '%WITH change AS MATERIALIZED%'",
    ) == [1] * len(workers)


async def test_a_worker_that_only_the_coordinator_reaches_is_written_through_it_and_left_alone(
    store, engine, database_url
):
    now = 0.0
    store._workers = Workers(engine, clock=lambda: now)
    nowhere = read_target("postgresql://nobody@127.0.0.1:1/none")
    connection = await asyncpg.connect(database_url)
    addresses = [
        (row["nodename"], row["nodeport"])
        for row in await connection.fetch("SELECT nodename, nodeport FROM pg_dist_node WHERE groupid > 0")
    ]
    await connection.close()
    closed = [create_engine(nowhere, pool_size=1, application_name="tests") for _ in addresses]
    store._workers._engines = dict(zip(addresses, closed, strict=True))

    versions = await change_all(store, 1000)

    assert versions == [1] * len(USERS)
    assert [store._workers.at(address) for address in addresses] == [engine] * len(addresses)
    now = 31.0
    assert [store._workers.at(address) for address in addresses] == closed


async def test_sessions_that_a_worker_ends_are_replaced_without_a_sender_noticing(store, workers):
    await change_all(store, 1000)
    ended = await at_each(
        workers,
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database()"
        " AND application_name = 'tests'",
    )

    assert min(ended) > 0
    assert await change_all(store, 2000) == [2] * len(USERS)


async def test_workers_that_cannot_be_reached_from_here_are_told_by_name(engine, workers):
    there = [url.partition("@")[2].partition("/")[0] for url in workers]
    connections = Workers(engine)

    assert await connections.unreached([*there, "127.0.0.1:1"]) == ["127.0.0.1:1"]
    await connections.aclose()
