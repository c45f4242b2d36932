"""Several processes write the same users: the optimistic write must lose no change and reorder none."""

import asyncio
import itertools
import threading
from contextlib import AsyncExitStack
from functools import partial

import asyncpg
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.clerk.payloads import snapshot_of
from adapters.kafka.cloudevents import encode
from adapters.postgres.connection.target import read_target
from adapters.postgres.engine import create_engine
from adapters.postgres.group_commit import TRIES
from adapters.postgres.user_reader import PostgresUserReader
from adapters.postgres.user_store import PostgresUserStore
from application.users.delete_user import DeleteUser
from application.users.sync_user import SyncUser
from domain.decision import Outcome
from domain.snapshot import Snapshot
from domain.sync_user import sync_user
from domain.user import Tombstone, User, UserId
from support.clerk_payloads import encoded
from support.memory import living
from support.private_payloads import CANARY, private_payloads
from support.users import USER, deletions, snapshot, snapshots

_numbers = itertools.count()


async def writers(stack: AsyncExitStack, database_url: str, count: int) -> list[PostgresUserStore]:
    """Stores with an engine each, as if each were a process."""
    stores = []
    for _ in range(count):
        engine = create_engine(read_target(database_url), pool_size=2, application_name="tests")
        stack.push_async_callback(engine.dispose)
        store = PostgresUserStore(engine, encode, lambda _: None)
        await store.start()
        stack.push_async_callback(store.aclose)
        stores.append(store)
    return stores


async def outbox_of(database_url: str, user_id: str) -> list[int]:
    connection = await asyncpg.connect(database_url)
    try:
        # Not by id: sessions draw ids from caches of their own on Citus (ADR 0006).
        rows = await connection.fetch("SELECT version FROM outbox WHERE key = $1 ORDER BY version", user_id)
    finally:
        await connection.close()
    return [row["version"] for row in rows]


async def test_twenty_concurrent_creations_of_one_new_user_give_one_row_and_versions_without_a_gap(database_url):
    async with AsyncExitStack() as stack:
        stores = await writers(stack, database_url, 20)
        # A write is lost only to another one that succeeded, and each that succeeds leaves a newer snapshot behind: of
        # this many different ones, nobody can lose more often than is tried again.
        different = TRIES - 1
        decisions = await asyncio.gather(
            *(
                store.change(USER, partial(sync_user, snapshot=snapshot(at=1000 + number, first_name=f"{number}")))
                for store, number in zip(stores, itertools.cycle(range(different)), strict=False)
            )
        )
        user = living(await PostgresUserReader(stores[0]._engine).get(USER))

    assert [decision.outcome for decision in decisions].count(Outcome.CREATED) == 1
    assert (user.profile.first_name, user.source.updated_at) == (f"{different - 1}", 1000 + different - 1)
    assert await outbox_of(database_url, USER) == list(range(1, user.version + 1))


async def test_a_change_decided_on_a_row_whose_time_alone_moved_meanwhile_is_decided_again(database_url):
    """The version stays when only the source time moves, so comparing versions would not see the other writer."""
    async with AsyncExitStack() as stack:
        one, other = await writers(stack, database_url, 2)
        await one.change(USER, partial(sync_user, snapshot=snapshot(at=1000)))
        seen = []

        def overtaken(known):
            seen.append(known)
            if len(seen) == 1:  # between our read and our write, the other process stores a newer time
                blocking.set()
                while not overtaken_now.is_set():
                    overtaken_now.wait(0.01)
            return sync_user(known, snapshot(at=2000, first_name="older news"))

        # The decision runs in the event loop, so the other writer needs a thread and a loop of its own.
        blocking, overtaken_now = threading.Event(), threading.Event()

        def other_process() -> None:
            blocking.wait(5)

            async def write() -> None:
                async with AsyncExitStack() as inner:
                    [store] = await writers(inner, database_url, 1)
                    await store.change(USER, partial(sync_user, snapshot=snapshot(at=3000)))

            asyncio.run(write())
            overtaken_now.set()

        thread = threading.Thread(target=other_process)
        thread.start()
        decision = await other.change(USER, overtaken)
        thread.join()

        assert len(seen) == 2
        assert decision.outcome == Outcome.STALE
        user = living(await PostgresUserReader(one._engine).get(USER))
        assert (user.profile.first_name, user.source.updated_at, user.version) == ("Ada", 3000, 1)


@settings(max_examples=25)
@given(data=st.data(), some=st.lists(snapshots | deletions, min_size=2, max_size=10))
async def test_concurrent_writers_converge_like_the_domain_does(database_url, data, some):
    user_id = UserId(f"user_{next(_numbers)}")  # not drawn: a repeated example must meet an empty database
    deliveries = [
        Snapshot.of(user_id, news.profile, updated_at=news.source.updated_at, timestamp=news.source.timestamp)
        if isinstance(news, Snapshot)
        else type(news)(id=user_id, deleted_at=news.deleted_at)
        for news in some + data.draw(st.lists(st.sampled_from(some), max_size=5))
    ]
    deliveries = data.draw(st.permutations(deliveries))

    async with AsyncExitStack() as stack:
        stores = await writers(stack, database_url, 3)
        await asyncio.gather(
            *(
                SyncUser(stores[number % 3])(news)
                if isinstance(news, Snapshot)
                else DeleteUser(stores[number % 3])(news)
                for number, news in enumerate(deliveries)
            )
        )
        known = await PostgresUserReader(stores[0]._engine).get(user_id)

    assert known is not None
    assert await outbox_of(database_url, user_id) == list(range(1, known.version + 1))
    if any(not isinstance(news, Snapshot) for news in deliveries):
        assert isinstance(known, Tombstone)
    else:
        newest = max((news for news in deliveries if isinstance(news, Snapshot)), key=lambda news: news.source)
        assert isinstance(known, User)
        assert (known.source, known.profile) == (newest.source, newest.profile)


@settings(max_examples=25)
@given(payloads=st.lists(private_payloads("user_drawn"), min_size=1, max_size=6))
async def test_no_private_field_reaches_a_row_or_an_event_whoever_writes(database_url, payloads):
    user_id = f"user_{next(_numbers)}"  # not drawn: a repeated example must meet an empty database
    news = [snapshot_of(encoded(payload | {"id": user_id}), timestamp=payload["updated_at"]) for payload in payloads]

    async with AsyncExitStack() as stack:
        stores = await writers(stack, database_url, 3)
        await asyncio.gather(*(SyncUser(stores[number % 3])(each) for number, each in enumerate(news)))
    connection = await asyncpg.connect(database_url)
    try:
        [row] = await connection.fetch("SELECT users::text AS stored FROM users WHERE id = $1", user_id)
        events = await connection.fetch(
            "SELECT outbox::text || convert_from(payload, 'UTF8') AS stored FROM outbox WHERE key = $1", user_id
        )
    finally:
        await connection.close()

    assert len(events) >= 1
    assert [stored for (stored,) in (row, *events) if user_id not in stored or CANARY in stored] == []
