"""What a relay hears, on a real LISTEN."""

import asyncio
from collections.abc import AsyncIterator, Callable
from itertools import pairwise

import asyncpg
import pytest

from adapters.kafka.cloudevents import encode
from adapters.postgres.connection.target import read_target
from adapters.postgres.engine import create_engine
from adapters.postgres.migrate import migrate
from adapters.postgres.notifier import NotificationListener, OutboxNotifier
from adapters.postgres.statements import CHANNEL
from adapters.postgres.user_store import PostgresUserStore
from application.relay.lanes import SESSIONS
from application.relay.loop import LONGEST_ROUND_S, ROUND_S
from domain.user import UserId
from integration.postgres.test_group_commit import creation
from support import servers
from support.users import USER


@pytest.fixture
async def heard(database_url: str) -> AsyncIterator[list[float]]:
    """When notifications came, in seconds of the loop's clock."""
    moments: list[float] = []
    connection = await asyncpg.connect(database_url)
    await connection.add_listener(CHANNEL, lambda *_: moments.append(asyncio.get_running_loop().time()))
    yield moments
    await connection.close()


@pytest.fixture
async def wake(engine) -> AsyncIterator[OutboxNotifier]:
    notifier = OutboxNotifier(engine)
    await notifier.start()
    yield notifier
    await notifier.aclose()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.001)


async def test_what_was_stored_is_notified_once(wake, heard):
    wake.add(1)
    await until(lambda: len(heard) == 1)
    await asyncio.sleep(0.1)

    assert len(heard) == 1


@pytest.mark.parametrize("events", [1, 100])
async def test_a_busy_writer_notifies_after_each_pause_and_else_once_in_a_relays_longest_round(wake, heard, events):
    added = [asyncio.get_running_loop().time()]
    while added[-1] < added[0] + 0.5:
        wake.add(events)
        await asyncio.sleep(0.0005)
        added.append(asyncio.get_running_loop().time())
    await until(lambda: len(heard) > 1)
    await asyncio.sleep(0.1)

    pauses = sum(after - before > ROUND_S for before, after in pairwise(added))
    assert len(heard) <= pauses + (added[-1] - added[0]) / LONGEST_ROUND_S + 3


async def test_events_of_a_writer_that_pauses_are_each_notified_without_delay(wake, heard):
    """As behind a pooler, where no write can notify."""
    began = asyncio.get_running_loop().time()
    for number in range(1, 51):
        wake.add(1)
        await until(lambda number=number: len(heard) == number)
        await asyncio.sleep(ROUND_S + 0.001)

    delays = sorted(after - before for before, after in pairwise([began, *heard]))
    assert delays[len(delays) // 4] < LONGEST_ROUND_S


def test_a_write_is_the_first_again_after_the_round_of_a_relay_that_took_the_one_before(engine):
    notifier = OutboxNotifier(engine)

    first = [notifier.is_first(events, 60 + at * ROUND_S) for events, at in ((100, 0), (1, 3), (1, 5.5), (1, 6))]

    assert first == [True, False, True, False]


async def test_a_notification_says_whose_events_were_stored(engine, database_url):
    said: list[str | None] = []
    listener = NotificationListener(read_target(database_url), said.append)
    notifiers = [OutboxNotifier(engine), OutboxNotifier(engine, SESSIONS)]
    await listener.start()
    await until(lambda: said == [None])  # whatever was missed before
    for notifier in notifiers:
        await notifier.start()
        notifier.add(1)
        seen = len(said)
        await until(lambda seen=seen: len(said) > seen)
    for part in (*notifiers, listener):
        await part.aclose()

    assert said == [None, "", SESSIONS]


async def test_the_first_event_after_a_pause_is_notified_by_its_own_write(engine, heard):
    """And the events that follow by the notifier, which has not started here."""
    notifier = OutboxNotifier(engine)
    told: list[float] = []
    store = PostgresUserStore(
        engine, encode, lambda _: told.append(asyncio.get_running_loop().time()), is_first=notifier.is_first
    )
    await store.start()
    await creation(store, USER)
    await until(lambda: len(heard) == 1)
    assert told == []

    began = asyncio.get_running_loop().time()
    users = [UserId(f"user_{number}") for number in range(20)]
    for user in users:
        await creation(store, user)
    took = asyncio.get_running_loop().time() - began
    await store.aclose()
    await until(lambda: len(heard) - 1 + len(told) == len(users))

    assert len(heard) - 1 <= took / ROUND_S + 1


async def test_a_full_queue_of_notifications_stops_no_write():
    """A client of the database that listens, and then leaves a transaction open, holds the queue up for everybody."""
    with servers.postgres(max_notify_queue_pages="64") as server:
        engine = create_engine(read_target(server.address), pool_size=4, application_name="tests")
        await migrate(engine)
        stuck = await asyncpg.connect(server.address)
        await stuck.add_listener(CHANNEL, lambda *_: None)
        await stuck.execute("BEGIN; SELECT 1")
        filler = await asyncpg.connect(server.address)
        with pytest.raises(asyncpg.ProgramLimitExceededError):
            await filler.executemany(
                "SELECT pg_notify('other', repeat($1, 1900))", [(f"{number} ",) for number in range(200)]
            )
        store = PostgresUserStore(engine, encode, lambda _: None, is_first=lambda *_: True)
        await store.start()
        stored = await creation(store, USER)
        await store.aclose()
        for connection in (filler, stuck):
            await connection.close()
        await engine.dispose()

    assert stored.user.version == 1
