"""Relays that feed the state topic too: killed, frozen and sharing, on real servers."""

import asyncio
import random
from collections.abc import Mapping

import pytest

from adapters.postgres.connection.target import read_target
from adapters.postgres.engine import create_engine
from adapters.postgres.user_directory import PostgresUserDirectory
from application.relay.lanes import LANES
from domain.user import Tombstone, User, UserId
from integration.conftest import create_topic
from integration.relay.test_relay_processes import query, until_empty, until_owners
from support import ledger, processes, state_ledger
from support.ledger import first_seen, read_topic_until
from support.outages import outages
from support.state_ledger import last_of_each, read_states
from support.writing import Writer


@pytest.fixture
async def state_topic(kafka_address: str, topic: str) -> str:
    name = f"{topic}-state"
    await create_topic(kafka_address, name, cleanup_policy="compact")
    return name


async def table(database_url: str, users: Writer) -> Mapping[UserId, User | Tombstone]:
    engine = create_engine(read_target(database_url), pool_size=1, application_name="tests")
    try:
        return await PostgresUserDirectory(engine).get_many([UserId(user) for user in users.users])
    finally:
        await engine.dispose()


async def test_both_topics_get_every_user_and_the_state_is_what_the_table_says(
    start_relay, users, kafka_address, topic, state_topic, database_url
):
    relay = start_relay(state_topic=state_topic)
    await users.changes(3)
    await users.delete("user_1")
    events = await read_topic_until(kafka_address, topic, users.newest)
    left = await until_empty(database_url)
    states = await read_states(kafka_address, state_topic)

    assert left == []
    assert ledger.faults(events, users.newest) == []
    assert state_ledger.faults(states, await table(database_url, users)) == []
    last = last_of_each(states)
    event = next(event for event in events if (event.key, event.version) == ("user_0", 3))
    assert last["user_0"].data == {"user": event.data["user"]}
    assert last["user_0"].headers["ce_id"] == str(event.event_id)
    assert (last["user_1"].version, last["user_1"].data) == (4, None)
    assert await asyncio.to_thread(relay.stop) == 0
    assert "Traceback" not in relay.text()


async def test_relays_that_are_killed_at_random_moments_leave_no_old_version_last(
    start_relay, users, kafka_address, topic, state_topic, database_url
):
    moments = random.Random(6)

    async with users.changing(pause=0.001):
        for _ in range(6):
            relay = start_relay("--name", "the same each time, so it finds its lanes", state_topic=state_topic)
            await asyncio.to_thread(relay.wait_for, "lanes_held")
            await asyncio.sleep(moments.uniform(0.1, 1.0))
            await asyncio.to_thread(relay.kill)
    start_relay("--name", "the same each time, so it finds its lanes", state_topic=state_topic)
    events = await read_topic_until(kafka_address, topic, users.newest)
    left = await until_empty(database_url)
    states = await read_states(kafka_address, state_topic)

    assert left == []
    assert ledger.faults(events, users.newest) == []
    assert state_ledger.faults(states, await table(database_url, users)) == []
    assert len(states) > len(last_of_each(states))


async def test_frozen_relays_that_wake_up_leave_no_old_version_last(
    start_relay, users, kafka_address, topic, state_topic, database_url
):
    one, two, three = (start_relay("--name", name, state_topic=state_topic) for name in ("one", "two", "three"))
    await until_owners(database_url, {"one": 22, "three": 21, "two": 21})

    async with users.changing(pause=0.001):
        await asyncio.sleep(0.5)
        one.pause()
        two.pause()
        inherited = await until_owners(database_url, {"three": LANES})
        await users.delete("user_0")
        await asyncio.sleep(1)
        one.resume()
        two.resume()
        again = await until_owners(database_url, {"one": 22, "three": 21, "two": 21})
        await asyncio.sleep(1)
    events = await read_topic_until(kafka_address, topic, users.newest)
    left = await until_empty(database_url)
    states = await read_states(kafka_address, state_topic)

    assert inherited == {"three": LANES}
    assert again == {"one": 22, "three": 21, "two": 21}
    assert left == []
    assert ledger.faults(events, users.newest) == []
    assert state_ledger.faults(states, await table(database_url, users)) == []
    assert last_of_each(states)["user_0"].data is None
    assert all(relay.alive for relay in (one, two, three))
    assert [relay.text() for relay in (one, two, three) if "Traceback" in relay.text()] == []
    # A frozen one may find that PostgreSQL gave it up meanwhile; the third may wait for a busy broker.
    async with asyncio.timeout(60):
        while outages(three)[1]:
            await asyncio.sleep(0.1)


async def test_a_missing_state_topic_is_said_once_and_no_event_goes_out_twice_meanwhile(
    start_relay, users, kafka_address, topic, database_url
):
    late = f"{topic}-late"
    await users.changes(3)
    relay = start_relay(state_topic=late)
    await asyncio.to_thread(relay.wait_for, "events_waiting")
    await asyncio.sleep(2)
    said = relay.events("events_waiting")

    await create_topic(kafka_address, late, cleanup_policy="compact")
    events = await read_topic_until(kafka_address, topic, users.newest)
    left = await until_empty(database_url)

    assert [entry["cause"] for entry in said] == [f"Kafka: topic missing ({late})"]
    assert left == []
    assert len(events) == sum(users.newest.values())
    assert state_ledger.faults(await read_states(kafka_address, late), await table(database_url, users)) == []
    await asyncio.to_thread(relay.wait_for, "outage_over")


async def test_a_state_too_large_for_its_topic_alone_becomes_a_dead_letter_and_can_be_retried(
    start_relay, users, kafka_address, topic, database_url
):
    small = f"{topic}-small"
    await create_topic(kafka_address, small, max_message_bytes="20000", cleanup_policy="compact")
    await users.changes(2)
    await users.change("user_0", size=50_000)
    relay = start_relay(state_topic=small)

    events = await read_topic_until(kafka_address, topic, users.newest)
    left = await until_empty(database_url)
    letters = await query(database_url, "SELECT key, version, error FROM outbox_dead")
    before = last_of_each(await read_states(kafka_address, small))
    await users.change("user_0")
    await read_topic_until(kafka_address, topic, users.newest)
    await until_empty(database_url)

    assert [tuple(letter) for letter in letters] == [("user_0", 3, f"{small}: MessageSizeTooLargeError")]
    assert left == []
    assert first_seen(events)["user_0"] == [1, 2, 3]
    assert "user_0" not in before
    assert state_ledger.faults(await read_states(kafka_address, small), await table(database_url, users)) == []
    assert [entry["count"] for entry in relay.events("events_refused")] == [1]


async def test_users_from_before_the_state_topic_are_filled_in_while_others_change(
    start_relay, users, kafka_address, topic, state_topic, database_url, tmp_path
):
    before = start_relay("--name", "before")
    await users.changes(2)
    await users.delete("user_1")
    await read_topic_until(kafka_address, topic, users.newest)
    await until_empty(database_url)
    await asyncio.to_thread(before.stop)
    relay = start_relay("--name", "after", state_topic=state_topic)
    variables = {
        "DATABASE_URL": database_url,
        "KAFKA_BOOTSTRAP_SERVERS": kafka_address,
        "KAFKA_USER_STATE_TOPIC": state_topic,
    }

    busy = Writer(users.store, users.users[2:4], users.newest)
    async with busy.changing():
        with processes.running(tmp_path, "topic", "fill", **variables) as fill:
            status = await asyncio.to_thread(fill.popen.wait, 60)
    events = await read_topic_until(kafka_address, topic, users.newest)
    left = await until_empty(database_url)
    states = await read_states(kafka_address, state_topic)

    assert status == 0, fill.text()
    assert "8 users are in the state topic." in fill.text()
    assert left == []
    assert state_ledger.faults(states, await table(database_url, users)) == []
    assert ledger.faults(events, users.newest) == []
    assert relay.alive
