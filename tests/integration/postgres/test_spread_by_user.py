"""The tables can be spread over servers by the user's id: PostgreSQL's own partitioning has the same demands.

A unique constraint of a partitioned table must contain the column that it is partitioned by (PostgreSQL manual,
"Table Partitioning", limitations), as it must in Citus.
"""

import asyncio
from functools import partial

import asyncpg
import pytest

from adapters.kafka.cloudevents import encode
from adapters.postgres.connection.target import read_target
from adapters.postgres.engine import create_engine
from adapters.postgres.outbox import PostgresOutbox
from adapters.postgres.session_store import PostgresSessionCleaner, PostgresSessionStore
from adapters.postgres.tables import DISTRIBUTED_BY
from adapters.postgres.user_reader import PostgresUserReader
from adapters.postgres.user_store import PostgresUserStore
from application.relay.lanes import LANES
from application.relay.messages import RefusedMessage
from application.sessions.revoke_session import RevokeSession
from domain.delete_user import delete_user
from domain.session import RevokedSession, SessionId
from domain.sync_user import sync_user
from domain.user import UserId
from support.users import deletion, snapshot

NOT_DISTRIBUTED = {"outbox_lane", "relay", "reconcile_checkpoint", "alembic_version"}
"""A few rows for the whole installation; they stay on one server."""

_UNIQUE = """
SELECT t.relname AS "table", c.relname AS name, array_agg(a.attname::text) AS columns
FROM pg_index i JOIN pg_class t ON t.oid = i.indrelid JOIN pg_class c ON c.oid = i.indexrelid
JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = ANY (i.indkey)
WHERE i.indisunique AND t.relnamespace = 'public'::regnamespace GROUP BY 1, 2
"""


@pytest.fixture
async def connection(database_url):
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


@pytest.fixture
async def spread(connection, database_url):
    """The URL of a database whose tables of users are partitioned, with every index and constraint they have."""
    for table, column in DISTRIBUTED_BY.items():
        await connection.execute(
            f"ALTER TABLE {table} RENAME TO whole_{table};"
            f"CREATE TABLE {table} (LIKE whole_{table} INCLUDING ALL) PARTITION BY HASH ({column})"
        )
        for part in range(4):
            await connection.execute(
                f"CREATE TABLE {table}_{part} PARTITION OF {table} FOR VALUES WITH (MODULUS 4, REMAINDER {part})"
            )
        await connection.execute(f"DROP TABLE whole_{table} CASCADE")
    return database_url


async def test_each_unique_constraint_of_a_table_of_users_contains_the_user(connection):
    found = await connection.fetch(_UNIQUE)
    tables = {
        row["tablename"]
        for row in await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    }

    assert tables == {*DISTRIBUTED_BY, *NOT_DISTRIBUTED}  # a new table says here which of the two it is
    assert {row["table"] for row in found} >= DISTRIBUTED_BY.keys()
    for row in found:
        assert row["table"] in NOT_DISTRIBUTED or DISTRIBUTED_BY[row["table"]] in row["columns"], row["name"]


async def test_no_foreign_key_ties_one_user_to_another(connection):
    assert await connection.fetchval("SELECT count(*) FROM pg_constraint WHERE contype = 'f'") == 0


@pytest.mark.parametrize("servers", ["one", "several"])
async def test_users_are_written_and_their_events_relayed_on_partitioned_tables(spread, connection, servers):
    engine = create_engine(read_target(spread), pool_size=4, application_name="tests")
    store = PostgresUserStore(engine, encode, lambda _: None)
    await store.start()
    users = [UserId(f"user_{number}") for number in range(50)]
    for at in (1, 2):
        news = [snapshot(user, at=at, public_metadata={"n": at}) for user in users]
        await asyncio.gather(*(store.change(each.id, partial(sync_user, snapshot=each)) for each in news))
    gone = deletion(users[0])
    await store.change(gone.id, partial(delete_user, deletion=gone))
    await store.aclose()
    sessions = PostgresSessionStore(engine, encode, lambda _: None)
    await sessions.start()
    ended = [RevokedSession(id=SessionId(f"sess_{user}"), user_id=user, revoked_at=1) for user in users]
    await RevokeSession(sessions).each([*ended, *ended])
    await sessions.aclose()
    reader = PostgresUserReader(engine)
    seen = await asyncio.gather(*(reader.signed_in(user, SessionId(f"sess_{user}")) for user in users))
    revoked = await connection.fetchval("SELECT count(*) FROM outbox WHERE lane >= $1", LANES)
    while await PostgresSessionCleaner(engine).forget(after_ms=0):
        pass
    await connection.execute("DELETE FROM outbox WHERE lane >= $1", LANES)
    parts = await connection.fetch("SELECT tableoid::regclass::text, count(*) AS n FROM users GROUP BY 1")
    outbox = PostgresOutbox(engine)
    outbox._distributed = servers == "several"
    pending = await outbox.oldest(range(LANES), 1000)
    refused, *published = pending
    await outbox.delete(published)
    await outbox.move_to_dead_letters([RefusedMessage(refused, "too large", attempts=1)])
    left = await connection.fetchval("SELECT count(*) FROM outbox")
    dead = await connection.fetchval("SELECT count(*) FROM outbox_dead")
    await engine.dispose()

    assert (revoked, [found.revoked for found in seen]) == (50, [True] * 50)
    assert (len(parts), sum(row["n"] for row in parts)) == (4, 50)
    assert len(pending) == 101
    assert (left, dead) == (0, 1)
