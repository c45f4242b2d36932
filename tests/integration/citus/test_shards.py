"""A shard that moves to another worker, while a store that knows its old place goes on writing."""

import asyncio
import itertools
import time
from functools import partial

import asyncpg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy.exc import DBAPIError

from adapters.kafka.cloudevents import encode
from adapters.postgres.asyncpg_execution import directly
from adapters.postgres.citus import SHARD_ELSEWHERE
from adapters.postgres.connection.target import read_target
from adapters.postgres.engine import create_engine
from adapters.postgres.failures import code_of
from adapters.postgres.hashtext import hashtext
from adapters.postgres.shards import MOVED_S, Workers
from adapters.postgres.statements import Write
from adapters.postgres.user_store import PostgresUserStore
from domain.sync_user import sync_user
from domain.user import UserId
from support.citus import nodes
from support.users import snapshot

pytestmark = pytest.mark.citus

USERS = [UserId(f"user_{number}") for number in range(40)]

_SHARD = """
    SELECT shardid AS id, nodename AS host, nodeport AS port, shard_name('users', shardid) AS name
    FROM pg_dist_placement JOIN pg_dist_node USING (groupid)
    WHERE shardid = get_shard_id_for_distribution_column('users', $1::text)
"""
_OTHER = """
    SELECT nodename AS host, nodeport AS port FROM pg_dist_node
    WHERE groupid > 0 AND noderole = 'primary' AND (nodename, nodeport) <> ($1, $2) LIMIT 1
"""


class Told(Workers):
    """Workers, and when shards were found to be elsewhere."""

    def __init__(self, engine, clock=time.monotonic) -> None:
        super().__init__(engine, clock)
        self.moved: list[tuple[str, int]] = []

    def leave_alone(self, address, for_s=0.0) -> None:
        assert for_s == MOVED_S, "no worker failed"
        self.moved.append(address)
        super().leave_alone(address, for_s)


@pytest.fixture
async def engine(database_url):
    engine = create_engine(read_target(database_url), pool_size=4, application_name="tests")
    yield engine
    await engine.dispose()


@pytest.fixture
async def store(engine):
    store = PostgresUserStore(engine, encode, lambda _: None)
    store._workers = Told(engine)
    await store.start()
    yield store
    await store.aclose()


@pytest.fixture
async def sql(database_url):
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


async def change(store: PostgresUserStore, user: UserId, at: int) -> int:
    return (
        await store.change(user, partial(sync_user, snapshot=snapshot(user, at=at, first_name=f"{at}")))
    ).user.version


async def move(sql: asyncpg.Connection, user: UserId, mode: str) -> None:
    """Move the user's shard to another worker."""
    shard = await sql.fetchrow(_SHARD, user)
    assert shard is not None
    other = await sql.fetchrow(_OTHER, shard["host"], shard["port"])
    assert other is not None
    await sql.execute("CALL citus_cleanup_orphaned_resources()")  # of the move before
    await sql.execute(
        f"SELECT citus_move_shard_placement({shard['id']}, '{shard['host']}', {shard['port']}, '{other['host']}',"
        f" {other['port']}, shard_transfer_mode => '{mode}')"
    )


@pytest.mark.parametrize("mode", ["block_writes", "force_logical"])
async def test_a_user_is_neither_read_nor_written_where_its_shard_was(store, sql, database_url, mode):
    [user, *_] = USERS
    store._workers = Told(store._workers.coordinator, clock=lambda: 0.0)  # so that the map does not become too old
    await change(store, user, 1000)
    place = (await store._workers.shards()).place_of(user)
    before = await sql.fetchrow(_SHARD, user)
    [url] = [url for url in await nodes(database_url) if f"{before['host']}:{before['port']}/" in url]
    old = await asyncpg.connect(url)
    decided = sync_user(None, snapshot=snapshot(user, at=2000, first_name="lost"))
    write = Write.of(decided.user, 2, [encode(event, None) for event in decided.events])
    refusals = []
    async with old.transaction():
        await old.execute(f"SELECT FROM {before['name']}")  # nobody drops it meanwhile
        await move(sql, user, mode)
        for statement in (lambda driver: place.read(driver, [user]), lambda driver: place.write(driver, [write])):
            with pytest.raises(DBAPIError) as refusal:
                async with directly(store._workers.at(place.address)) as driver:
                    await statement(driver)
            refusals.append(code_of(refusal.value))
        left_there = await old.fetchval(f"SELECT first_name FROM {before['name']} WHERE id = $1", user)
    await old.close()
    at_once = await change(store, user, 3000)  # with the map from before the move

    assert (place.address, place.direct) == ((before["host"], before["port"]), True)
    assert refusals == [SHARD_ELSEWHERE] * 2
    assert left_there == "1000"
    assert at_once == 2
    assert store._workers.moved == [place.address]
    assert (await store._workers.shards()).place_of(user).address != place.address
    assert await sql.fetchval("SELECT first_name FROM users WHERE id = $1", user) == "3000"


async def test_nothing_is_lost_or_written_twice_while_shards_move_under_writes(store, sql):
    acknowledged: dict[UserId, int] = {}
    moving = True

    async def keep_changing(user: UserId) -> None:
        for at in itertools.count(1000):
            await change(store, user, at)
            acknowledged[user] = at
            if not moving:
                return

    changing = asyncio.gather(*map(keep_changing, USERS))
    for user, mode in zip(USERS[:4], itertools.cycle(["block_writes", "force_logical"]), strict=False):
        await move(sql, user, mode)
        await asyncio.sleep(MOVED_S + 0.2)  # until the new place is written to directly
    moving = False
    await changing
    rows = {row["id"]: row for row in await sql.fetch("SELECT id, version, first_name FROM users")}
    events = {
        row["key"]: row["versions"]
        for row in await sql.fetch(
            "SELECT key, array_agg(version ORDER BY version) AS versions FROM outbox GROUP BY key"
        )
    }

    assert len(store._workers.moved) > 0, "no write met a shard that had moved"
    assert {user: rows[user]["first_name"] for user in USERS} == {user: f"{at}" for user, at in acknowledged.items()}
    assert events == {user: list(range(1, rows[user]["version"] + 1)) for user in USERS}


@settings(max_examples=15)
@given(values=st.lists(st.text().map(lambda text: text.replace("\0", "")), min_size=20))
async def test_the_hash_is_the_servers(database_url, values):
    connection = await asyncpg.connect(database_url)
    try:
        rows = await connection.fetch("SELECT worker_hash(value) AS hash FROM unnest($1::text[]) AS value", values)
    finally:
        await connection.close()

    assert [row["hash"] for row in rows] == [*map(hashtext, values)]
