"""One user's order rests on (key, version): the numbers of the outbox may come from anywhere, in any order."""

import itertools
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from functools import partial

import asyncpg
import pytest
from attrs import frozen
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


@frozen
class Story:
    """What happens: changes of users, each by one of the connections, and relays that fail."""

    changes: Sequence[tuple[str, int]]
    limit: int
    outages: frozenset[int]
    again: int


def stories() -> st.SearchStrategy[Story]:
    return st.builds(
        Story,
        changes=st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, CONNECTIONS - 1)), min_size=1, max_size=30),
        limit=st.integers(1, 12),
        outages=st.frozensets(st.integers(0, 29), max_size=3),
        again=st.integers(0, 3),
    )


@pytest.mark.one_server  # a cluster's numbers are so from the start: see citus/test_entry_nodes.py
@pytest.mark.parametrize("servers", ["one", "several"])
@settings(max_examples=25)
@given(story=stories())
async def test_relays_deliver_each_users_versions_in_order_when_each_connection_has_numbers_of_its_own(
    database_url, servers, story
):
    admin = await asyncpg.connect(database_url)
    # Each connection draws a hundred numbers at once, as each node of a cluster draws from a range of its own.
    await admin.execute("ALTER SEQUENCE outbox_id_seq CACHE 100")
    await admin.close()

    await every_version_is_delivered_in_order([database_url] * CONNECTIONS, story, distributed=servers == "several")


async def every_version_is_delivered_in_order(urls: Sequence[str], story: Story, *, distributed: bool) -> None:
    """Play it on connections to these URLs, with relays at the first of them."""
    run = next(_runs)
    async with AsyncExitStack() as stack:
        admin = await asyncpg.connect(urls[0])
        stack.push_async_callback(admin.close)
        await admin.execute("DELETE FROM outbox")
        engines, stores = [], []
        for url in urls:
            engine = create_engine(read_target(url), pool_size=1, application_name="tests")
            stack.push_async_callback(engine.dispose)
            engines.append(engine)
            stores.append(PostgresUserStore(engine, encode, lambda _: None))
            await stores[-1].start()
            stack.push_async_callback(stores[-1].aclose)
        for at, (user, connection) in enumerate(story.changes):
            news = snapshot(UserId(f"user_{run}_{user}"), at=1000 + at, first_name=f"{at}")
            await stores[connection].change(news.id, partial(sync_user, snapshot=news))
        publisher, relays = MemoryPublisher(), []
        for _ in range(2):
            outbox = PostgresOutbox(engines[0])
            outbox._distributed = distributed
            relays.append(RelayEvents(outbox, publisher))
        stored = await admin.fetch("SELECT event_id FROM outbox")
        cut = {row["event_id"].int for number, row in enumerate(stored) if number in story.outages}
        for turn in range(200):
            relay = relays[turn % 2]
            publisher.fate = dict.fromkeys(cut, "cut")
            done = await relay(range(LANES), story.limit)
            cut = set() if done.outage else cut
            if not done.taken:
                break
            for _ in range(story.again):  # what a relay read before it was frozen is sent and deleted once more
                await relay(range(LANES), story.limit)

    assert turn < 199
    expected = Counter(f"user_{run}_{user}" for user, _ in story.changes)
    assert publisher.versions() == {user: list(range(1, count + 1)) for user, count in expected.items()}
