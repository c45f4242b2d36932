"""What a dead letter keeps of a user who is deleted: nothing."""

import asyncio
from functools import partial

import asyncpg

from adapters.postgres.outbox import PostgresOutbox
from application.relay.lanes import LANES
from application.relay.messages import RefusedMessage
from domain.delete_user import delete_user
from domain.sync_user import sync_user
from domain.user import UserId
from integration.conftest import CITUS
from integration.relay.test_relay_processes import query
from support.citus import nodes
from support.users import deletion, snapshot

ALL = range(LANES)


async def test_deleting_a_user_erases_the_payloads_of_its_dead_letters(engine, store, database_url):
    outbox = PostgresOutbox(engine)
    for user in ("user_a", "user_b"):
        news = snapshot(UserId(user))
        await store.change(news.id, partial(sync_user, snapshot=news))
    await outbox.move_to_dead_letters(
        [RefusedMessage(pending, "too large", 2) for pending in await outbox.oldest(ALL, 10)]
    )

    gone = deletion(UserId("user_a"))
    await store.change(gone.id, partial(delete_user, deletion=gone))

    connection = await asyncpg.connect(database_url)
    rows = await connection.fetch("SELECT key, payload IS NULL AS erased FROM outbox_dead ORDER BY key")
    await connection.close()
    assert [tuple(row) for row in rows] == [("user_a", True), ("user_b", False)]


async def test_an_event_that_is_refused_after_its_user_was_deleted_leaves_no_payload(engine, store, database_url):
    outbox = PostgresOutbox(engine)
    for user in ("user_a", "user_b"):
        news = snapshot(UserId(user))
        await store.change(news.id, partial(sync_user, snapshot=news))
    read = await outbox.oldest(ALL, 10)
    gone = deletion(UserId("user_a"))
    await store.change(gone.id, partial(delete_user, deletion=gone))

    await outbox.move_to_dead_letters([RefusedMessage(pending, "too large", 2) for pending in read])

    connection = await asyncpg.connect(database_url)
    rows = await connection.fetch("SELECT key, payload IS NULL AS erased FROM outbox_dead ORDER BY key")
    await connection.close()
    assert [tuple(row) for row in rows] == [("user_a", True), ("user_b", False)]


async def test_a_deletion_that_began_before_the_letter_was_written_still_erases_it(engine, store, database_url):
    outbox = PostgresOutbox(engine)
    news = snapshot(UserId("user_a"))
    await store.change(news.id, partial(sync_user, snapshot=news))
    [pending] = await outbox.oldest(ALL, 10)
    slow = await asyncpg.connect(database_url)
    async with slow.transaction():  # which ends also if the wait fails: all tests share the database of a cluster
        await slow.execute("SELECT FROM users WHERE id = 'user_a' FOR UPDATE")
        moving = asyncio.create_task(outbox.move_to_dead_letters([RefusedMessage(pending, "too large", 2)]))
        await until_waiting(database_url, 1)
        gone = deletion(UserId("user_a"))
        delete = asyncio.create_task(store.change(gone.id, partial(delete_user, deletion=gone)))
        await until_waiting(database_url, 2)  # it has its snapshot, and queues for the row behind the letter
    await asyncio.gather(moving, delete)
    rows = await slow.fetch("SELECT key, payload FROM outbox_dead")
    await slow.close()

    assert [tuple(row) for row in rows] == [("user_a", None)]


async def until_waiting(database_url: str, count: int) -> None:
    """Wait until so many statements of this database wait for a lock, at whichever server of a cluster has the row."""
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    servers = await nodes(database_url) if CITUS else [database_url]
    async with asyncio.timeout(30):
        while sum([(await query(server, waiting))[0]["count"] for server in servers]) != count:
            await asyncio.sleep(0.02)
