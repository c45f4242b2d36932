"""Relays as processes: killed, stopped, frozen and sharing, on real servers."""

import asyncio
import contextlib
import random
import time
from urllib.parse import urlsplit
from urllib.request import urlopen

import asyncpg

from application.relay.lanes import LANES
from application.relay.loop import LEAVE_S
from devkit.servers.ports import free_port
from integration.conftest import create_topic
from support import proxy
from support.ledger import faults, first_seen, read_topic_until


async def query(database_url: str, statement: str) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(database_url)
    try:
        return list(await connection.fetch(statement))
    finally:
        await connection.close()


async def owners(database_url: str) -> dict[str, int]:
    rows = await query(
        database_url,
        "SELECT owner, count(*) AS lanes FROM outbox_lane WHERE owner IS NOT NULL AND lease_until > now() GROUP BY 1",
    )
    return {row["owner"]: row["lanes"] for row in rows}


async def until_owners(database_url: str, expected: dict[str, int], *, within: float = 60) -> dict[str, int]:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(within):
            while (held := await owners(database_url)) != expected:
                await asyncio.sleep(0.1)
    return held


async def test_relays_that_are_killed_at_random_moments_lose_and_reorder_nothing(
    start_relay, users, kafka_address, topic
):
    moments = random.Random(5)

    async with users.changing(pause=0.001):
        for _ in range(6):
            relay = start_relay("--name", "the same each time, so it finds its lanes")
            await asyncio.to_thread(relay.wait_for, "lanes_held")
            await asyncio.sleep(moments.uniform(0.1, 1.0))
            await asyncio.to_thread(relay.kill)
    start_relay("--name", "the same each time, so it finds its lanes")
    got = await read_topic_until(kafka_address, topic, users.newest)

    assert faults(got, users.newest) == []
    assert len(got) > len(users.newest)


async def test_sigterm_ends_a_relay_at_once_and_gives_its_lanes_back(
    start_relay, users, kafka_address, topic, database_url
):
    relay = start_relay("--name", "first")
    await asyncio.to_thread(relay.wait_for, "lanes_held")

    async with users.changing(pause=0.001):
        await asyncio.sleep(0.5)
        status = await asyncio.to_thread(relay.stop, LEAVE_S - 5)  # after so long a round would be given up
        held = await owners(database_url)
        known = await query(database_url, "SELECT name FROM relay")
    start_relay()
    got = await read_topic_until(kafka_address, topic, users.newest)

    assert status == 0, relay.text()
    assert (held, known) == ({}, [])
    assert "Traceback" not in relay.text()
    assert len(got) == sum(users.newest.values())  # it finished what it was sending: nothing came twice
    assert faults(got, users.newest) == []


async def test_three_relays_share_the_lanes_and_inherit_those_of_a_killed_and_of_a_frozen_one(
    start_relay, users, kafka_address, topic, database_url
):
    one, two, three = (start_relay("--name", name) for name in ("one", "two", "three"))
    shared = await until_owners(database_url, {"one": 22, "three": 21, "two": 21})

    async with users.changing():
        await asyncio.sleep(0.5)
        one.kill()
        two.pause()
        inherited = await until_owners(database_url, {"three": LANES})
        await asyncio.sleep(1)
        two.resume()
        again = await until_owners(database_url, {"three": 32, "two": 32})
    got = await read_topic_until(kafka_address, topic, users.newest)

    assert shared == {"one": 22, "three": 21, "two": 21}
    assert inherited == {"three": LANES}
    assert again == {"three": 32, "two": 32}
    assert two.alive
    assert three.alive
    assert faults(got, users.newest) == []


async def test_an_idle_relay_costs_at_most_two_statements_a_second(start_relay, database_url):
    sent: list[bytes] = []
    address = urlsplit(database_url)
    with proxy.proxy(address.hostname, address.port, tap=lambda _, data: sent.append(data)) as between:
        through = database_url.replace(f"{address.hostname}:{address.port}", between.address)
        # Citus turns TLS on at its servers, and what is encrypted cannot be counted.
        relay = start_relay(url=f"{through}?sslmode=disable")
        await asyncio.to_thread(relay.wait_for, "lanes_held")
        await asyncio.sleep(4)  # until it polls at its longest interval
        sent.clear()
        began = time.monotonic()
        async with asyncio.timeout(60):
            while (took := time.monotonic() - began) < 9 or (statements := sum(map(executed, sent))) < 3:
                await asyncio.sleep(0.5)

    assert statements <= 2 * took


def executed(data: bytes) -> int:
    """Count the Execute and Query messages in what a client sent (PostgreSQL's protocol, "Message Formats")."""
    count = at = 0
    while at < len(data):
        count += data[at : at + 1] in (b"E", b"Q")
        at += 1 + int.from_bytes(data[at + 1 : at + 5], "big")
    return count


CUT_LISTENERS = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE application_name = 'auth-service-wake' AND datname = current_database()"
)


async def test_a_listener_whose_connection_is_cut_does_not_stop_the_events(
    start_relay, users, kafka_address, topic, database_url
):
    relay = start_relay()
    await asyncio.to_thread(relay.wait_for, "lanes_held")
    await users.changes(1)

    async with asyncio.timeout(60):
        while not await query(database_url, CUT_LISTENERS):  # it connects beside the rest of the relay
            await asyncio.sleep(0.02)
    await users.changes(1)
    got = await read_topic_until(kafka_address, topic, users.newest)

    assert faults(got, users.newest) == []
    assert relay.alive


async def until_empty(database_url: str) -> list[asyncpg.Record]:
    """Wait for the relay to settle what it sent, and return what is left after a minute."""
    deadline = time.monotonic() + 60
    while left := await query(database_url, "SELECT key, version FROM outbox"):
        if time.monotonic() > deadline:
            break
        await asyncio.sleep(0.1)
    return left


async def test_an_event_too_large_for_the_topic_becomes_a_dead_letter_and_the_next_version_goes_on(
    start_relay, users, kafka_address, database_url, topic
):
    small = f"{topic}-small"
    await create_topic(kafka_address, small, max_message_bytes="20000")
    await users.change("user_0")
    await users.change("user_0", size=50_000)
    await users.change("user_0")
    await users.changes(2)
    relay = start_relay(to=small)

    got = await read_topic_until(kafka_address, small, users.newest)
    left = await until_empty(database_url)  # what was consumed is deleted, or put aside, a moment later
    letters = await query(database_url, "SELECT key, version, error FROM outbox_dead")

    assert [tuple(letter) for letter in letters] == [("user_0", 2, f"{small}: MessageSizeTooLargeError")]
    assert left == []
    seen = first_seen(got)
    assert seen.pop("user_0") == [1, 3, 4, 5]
    assert all(versions == [1, 2] for versions in seen.values())
    assert [(entry["event"], entry["count"]) for entry in relay.events("events_refused")] == [("events_refused", 1)]


async def test_metrics_tell_what_waits_and_what_was_done(start_relay, users, topic):
    port = free_port()
    await users.changes(2)
    start_relay("--metrics-port", str(port), to=f"{topic}-missing")

    expected = ["outbox_waiting_events 16.0", "outbox_relay_failing 1.0", "outbox_dead_letters_waiting 0.0"]
    missing = await asyncio.to_thread(missing_in_metrics, port, expected)

    assert missing == []


def missing_in_metrics(port: int, expected: list[str]) -> list[str]:
    deadline, missing = time.monotonic() + 60, expected
    while missing and time.monotonic() < deadline:
        time.sleep(0.1)
        with contextlib.suppress(OSError), urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
            lines = answer.read().decode().splitlines()
            missing = [line for line in expected if line not in lines]
    return missing
