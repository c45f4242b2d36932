"""Users on their way to the state topic alone, beside events and dead letters of the same versions."""

from functools import partial

import asyncpg
import pytest

from adapters.kafka.cloudevents import encode
from adapters.kafka.user_state import state_value
from adapters.postgres.outbox import PostgresOutbox
from adapters.postgres.outbox_admin import PostgresOutboxAdmin
from adapters.postgres.state_fill import PostgresStateFill
from application.relay.dead_letters import Repair
from application.relay.lanes import LANES
from application.relay.messages import RefusedMessage
from application.relay.state_topic import fill_lane
from application.trace import traceparent
from domain.delete_user import delete_user
from domain.sync_user import sync_user
from domain.user import UserId
from support.users import deletion, snapshot

ALL = range(LANES)
FILLED = [fill_lane(lane) for lane in ALL]


@pytest.fixture
def outbox(engine):
    return PostgresOutbox(engine)


@pytest.fixture
def fill(engine):
    return PostgresStateFill(engine, encode)


@pytest.fixture
async def add(store):
    async def add(user: str, *, versions: int = 1, deleted: bool = False) -> None:
        traceparent.set("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
        for at in range(1, versions + 1):
            news = snapshot(UserId(user), at=at, first_name=f"{at}")
            await store.change(news.id, partial(sync_user, snapshot=news))
        if deleted:
            await store.change(UserId(user), partial(delete_user, deletion=deletion(UserId(user))))

    return add


async def publish_all(outbox) -> None:
    await outbox.delete(await outbox.oldest(ALL, 1000))


def told(rows) -> list[tuple[str, int]]:
    return sorted((row.message.key, row.message.version) for row in rows)


async def test_users_are_put_page_by_page_with_the_bytes_of_their_state(add, outbox, fill):
    for user, versions in (("user_a", 3), ("user_b", 1), ("user_c", 2)):
        await add(user, versions=versions)
    states = {row.message.key: state_value(row.message) for row in await outbox.oldest(ALL, 1000)}
    await publish_all(outbox)

    first = await fill.put(None, 2)
    second = await fill.put(first[-1], 2)
    third = await fill.put(second[-1], 2)
    rows = await outbox.oldest(FILLED, 1000)

    assert (first, second, third) == (["user_a", "user_b"], ["user_c"], [])
    assert told(rows) == [("user_a", 3), ("user_b", 1), ("user_c", 2)]
    assert {row.message.key: state_value(row.message) for row in rows} == states
    assert await fill.waiting() == 3


async def test_deleted_users_are_put_as_tombstones(add, outbox, fill):
    await add("user_a", deleted=True)
    await publish_all(outbox)

    await fill.put(None, 10)
    [row] = await outbox.oldest(FILLED, 10)

    assert (row.message.version, state_value(row.message)) == (2, None)


async def test_relays_that_feed_no_state_topic_never_see_what_was_put(add, outbox, fill):
    await add("user_a")
    await publish_all(outbox)
    await fill.put(None, 10)

    assert await outbox.oldest(ALL, 10) == []


async def test_a_version_whose_event_still_waits_is_left_to_its_event(add, outbox, fill):
    await add("user_a")

    put = await fill.put(None, 10)
    again = await fill.put(None, 10)

    assert put == again == ["user_a"]
    assert await fill.waiting() == 0
    assert told(await outbox.oldest(ALL, 10)) == [("user_a", 1)]


async def test_a_retried_event_takes_along_what_was_put_for_its_version(add, outbox, fill, engine, database_url):
    await add("user_a")
    [event] = await outbox.oldest(ALL, 10)
    await outbox.move_to_dead_letters([RefusedMessage(event, "too large", 2)])
    await fill.put(None, 10)
    admin = PostgresOutboxAdmin(engine)
    [letter] = await admin.dead(limit=10)

    done = await admin.retry([letter.id])

    assert done == {letter.id: Repair.RETRIED}
    [row] = await outbox.oldest(ALL, 10)
    assert row.message == event.message
    assert await fill.waiting() == 0


async def test_what_was_put_and_is_refused_does_not_take_the_place_of_the_events_letter(
    add, outbox, fill, engine, database_url
):
    await add("user_a")
    [event] = await outbox.oldest(ALL, 10)
    await outbox.move_to_dead_letters([RefusedMessage(event, "events: too large", 2)])
    await fill.put(None, 10)
    [filled] = await outbox.oldest(FILLED, 10)

    await outbox.move_to_dead_letters([RefusedMessage(filled, "state: too large", 2)])
    [letter] = await PostgresOutboxAdmin(engine).dead(limit=10)

    assert (letter.event_id, letter.error, letter.erased) == (event.message.event_id, "events: too large", False)
    assert await fill.waiting() == 0


async def test_what_was_put_and_is_refused_is_a_letter_again_where_one_was_discarded(
    add, outbox, fill, engine, database_url
):
    await add("user_a")
    [event] = await outbox.oldest(ALL, 10)
    admin = PostgresOutboxAdmin(engine)
    await outbox.move_to_dead_letters([RefusedMessage(event, "events: too large", 2)])
    [discarded] = await admin.dead(limit=10)
    await admin.discard([discarded.id], "nobody needs it")
    await fill.put(None, 10)
    [filled] = await outbox.oldest(FILLED, 10)

    await outbox.move_to_dead_letters([RefusedMessage(filled, "state: too large", 2)])
    [letter] = await admin.dead(limit=10)

    assert letter.id != discarded.id
    assert (letter.event_id, letter.error, letter.erased) == (filled.message.event_id, "state: too large", False)


async def test_a_deleted_users_refused_state_is_erased_like_any_dead_letter(add, outbox, fill, store, database_url):
    await add("user_a")
    await publish_all(outbox)
    await fill.put(None, 10)
    [filled] = await outbox.oldest(FILLED, 10)
    await outbox.move_to_dead_letters([RefusedMessage(filled, "state: too large", 2)])
    await store.change(UserId("user_a"), partial(delete_user, deletion=deletion(UserId("user_a"))))

    connection = await asyncpg.connect(database_url)
    [row] = await connection.fetch("SELECT payload FROM outbox_dead")
    await connection.close()

    assert row["payload"] is None


async def test_what_was_put_and_became_an_event_again_meanwhile_is_not_forgotten_unpublished(add, outbox, fill, engine):
    await add("user_a")
    [event] = await outbox.oldest(ALL, 10)
    await outbox.move_to_dead_letters([RefusedMessage(event, "too large", 2)])
    await fill.put(None, 10)
    [filled] = await outbox.oldest(FILLED, 10)  # a relay has it in hand
    admin = PostgresOutboxAdmin(engine)
    [letter] = await admin.dead(limit=10)
    await admin.retry([letter.id])

    await outbox.delete([filled])  # the state topic has it, the event topic has not

    assert told(await outbox.oldest(ALL, 10)) == [("user_a", 1)]
