"""What a relay hears, on a real LISTEN."""

import asyncio
from collections.abc import AsyncIterator, Callable

import asyncpg
import pytest

from adapters.postgres.connection.target import read_target
from adapters.postgres.notifier import CHANNEL, NotificationListener, OutboxNotifier
from application.relay.lanes import SESSIONS


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
    outbox_wake = OutboxNotifier(engine)
    await outbox_wake.start()
    yield outbox_wake
    await outbox_wake.aclose()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.001)


async def test_what_was_stored_is_notified_once(wake, heard):
    wake.set()
    await until(lambda: len(heard) == 1)
    await asyncio.sleep(0.1)

    assert len(heard) == 1


async def test_a_busy_writer_notifies_at_most_once_in_five_milliseconds(wake, heard):
    wake.set()
    await until(lambda: len(heard) == 1)
    began = asyncio.get_running_loop().time()
    while (now := asyncio.get_running_loop().time()) < began + 0.5:
        wake.set()
        await asyncio.sleep(0.0005)
    await asyncio.sleep(0.1)

    assert 2 <= len(heard) <= (now - began) / 0.005 + 3


async def test_a_notification_says_whose_events_were_stored(engine, database_url):
    said: list[str | None] = []
    listener = NotificationListener(read_target(database_url), said.append)
    notifiers = [OutboxNotifier(engine), OutboxNotifier(engine, SESSIONS)]
    await listener.start()
    await until(lambda: said == [None])  # whatever was missed before
    for notifier in notifiers:
        await notifier.start()
        notifier.set()
        seen = len(said)
        await until(lambda seen=seen: len(said) > seen)
    for part in (*notifiers, listener):
        await part.aclose()

    assert said == [None, "", SESSIONS]
