"""Every server of a cluster takes writes, and each numbers the events that it stores by itself."""

import asyncio
from contextlib import AsyncExitStack
from functools import partial
from itertools import cycle, islice

import asyncpg
import pytest
from hypothesis import given, settings

from adapters.kafka.cloudevents import encode
from adapters.postgres.connection.target import read_target
from adapters.postgres.engine import create_engine
from adapters.postgres.outbox import PostgresOutbox
from adapters.postgres.user_store import PostgresUserStore
from application.errors import StoreUnavailableError
from application.relay.lanes import LANES
from application.relay.relay_events import RelayEvents
from domain.sync_user import sync_user
from domain.user import UserId
from integration.postgres.test_outbox_order import CONNECTIONS, every_version_is_delivered_in_order, stories
from support.citus import nodes
from support.memory import MemoryPublisher
from support.users import snapshot

pytestmark = pytest.mark.citus


@settings(max_examples=15)
@given(story=stories())
async def test_each_users_versions_come_in_order_when_its_changes_enter_by_several_servers(database_url, story):
    servers = await nodes(database_url)

    assert len(servers) > 1
    await every_version_is_delivered_in_order([*islice(cycle(servers), CONNECTIONS)], story, distributed=True)


async def change(store: PostgresUserStore, users: list[UserId], at: int) -> None:
    for user in users:
        decide = partial(sync_user, snapshot=snapshot(user, at=at, first_name=f"{at}"))
        while True:
            try:
                await store.change(user, decide)
                break
            except StoreUnavailableError:  # the others were faster, eight times
                await asyncio.sleep(0.05)


async def test_all_servers_change_the_same_users_at_once_while_a_relay_carries(database_url):
    users = [UserId(f"user_{number}") for number in range(6)]
    servers = await nodes(database_url)
    async with AsyncExitStack() as stack:
        sql = await asyncpg.connect(database_url)
        stack.push_async_callback(sql.close)
        stores = []
        for url in servers:
            engine = create_engine(read_target(url), pool_size=2, application_name="tests")
            stack.push_async_callback(engine.dispose)
            stores.append(PostgresUserStore(engine, encode, lambda _: None))
            await stores[-1].start()
            stack.push_async_callback(stores[-1].aclose)
        engine = create_engine(read_target(database_url), pool_size=1, application_name="tests")
        stack.push_async_callback(engine.dispose)
        publisher, ended = MemoryPublisher(), asyncio.Event()

        async def carry() -> None:
            relay, taken = RelayEvents(PostgresOutbox(engine), publisher), 1
            while taken or not ended.is_set():
                taken = (await relay(range(LANES), 5)).taken

        carrying = asyncio.create_task(carry())
        for turn in range(6):  # each time at once by all, each with another time at Clerk
            await asyncio.gather(*(change(store, users, 1000 + 10 * turn + at) for at, store in enumerate(stores)))
        ended.set()
        await carrying
        versions = {row["id"]: row["version"] for row in await sql.fetch("SELECT id, version FROM users")}

    assert min(versions.values()) >= 6
    assert publisher.versions() == {user: list(range(1, versions[user] + 1)) for user in users}
