"""One user's order rests on (key, version): the numbers of the outbox may come from anywhere, in any order."""

import itertools
from collections import Counter
from contextlib import AsyncExitStack
from functools import partial

import asyncpg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.kafka.cloudevents import encode
from adapters.postgres.connection.target import read_target
from adapters.postgres.engine import create_engine
from adapters.postgres.outbox import PostgresOutbox
from adapters.postgres.user_store import PostgresUserStore
from application.relay.lanes import LANES
from application.relay.relay_events import RelayEvents
from domain.sync_user import sync_user
from domain.user import UserId
from support.memory import MemoryPublisher
from support.users import snapshot

CONNECTIONS = 4
_runs = itertools.count()


@pytest.mark.one_server  # a cluster's numbers are so from the start
@pytest.mark.parametrize("servers", ["one", "several"])
@settings(max_examples=25)
@given(
    changes=st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, CONNECTIONS - 1)), min_size=1, max_size=30),
    limit=st.integers(1, 12),
    outages=st.sets(st.integers(0, 29), max_size=3),
    again=st.integers(0, 3),
)
async def test_relays_deliver_each_users_versions_in_order_when_each_connection_has_numbers_of_its_own(
    database_url, servers, changes, limit, outages, again
):
    run = next(_runs)
    async with AsyncExitStack() as stack:
        admin = await asyncpg.connect(database_url)
        stack.push_async_callback(admin.close)
        await admin.execute("DELETE FROM outbox")
        # Each connection draws a hundred numbers at once, as each node of a cluster draws from a range of its own.
        await admin.execute("ALTER SEQUENCE outbox_id_seq CACHE 100")
        stores = []
        for _ in range(CONNECTIONS):
            engine = create_engine(read_target(database_url), pool_size=1, application_name="tests")
            stack.push_async_callback(engine.dispose)
            stores.append(PostgresUserStore(engine, encode, lambda: None))
            await stores[-1].start()
            stack.push_async_callback(stores[-1].aclose)
        for at, (user, connection) in enumerate(changes):
            news = snapshot(UserId(f"user_{run}_{user}"), at=1000 + at, first_name=f"{at}")
            await stores[connection].change(news.id, partial(sync_user, snapshot=news))
        relays = []
        for _ in range(2):
            outbox = PostgresOutbox(engine)
            outbox._distributed = servers == "several"
            relays.append(RelayEvents(outbox, MemoryPublisher()))
        delivered = relays[0].publisher.delivered
        relays[1].publisher.delivered = delivered
        stored = await admin.fetch("SELECT event_id FROM outbox")
        cut = {row["event_id"].int for number, row in enumerate(stored) if number in outages}
        for turn in range(200):
            relay = relays[turn % 2]
            relay.publisher.fate = dict.fromkeys(cut, "cut")
            done = await relay(range(LANES), limit)
            cut = set() if done.outage else cut
            if not done.taken:
                break
            for _ in range(again):  # what a relay read before it was frozen is sent and deleted once more
                await relay(range(LANES), limit)

    assert turn < 199
    seen: dict[str, list[int]] = {}
    for item in delivered:
        versions = seen.setdefault(item.message.key, [])
        if item.message.version > max(versions, default=0):
            versions.append(item.message.version)
    expected = Counter(f"user_{run}_{user}" for user, _ in changes)
    assert seen == {user: list(range(1, count + 1)) for user, count in expected.items()}
