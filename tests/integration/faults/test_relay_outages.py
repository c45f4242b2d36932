"""What a relay does while Kafka or PostgreSQL is away: say so once, wait, go on by itself."""

import asyncio
from pathlib import Path

import pytest

from adapters.postgres.connection.target import read_target
from adapters.postgres.engine import create_engine
from adapters.postgres.migrate import migrate
from integration.conftest import create_topic
from support import processes, servers
from support.ledger import faults, read_topic_until
from support.writing import writer

pytestmark = pytest.mark.faults


async def test_a_missing_topic_is_said_once_and_its_events_wait_for_it(start_relay, users, kafka_address, topic):
    late = f"{topic}-late"
    await users.changes(3)
    relay = start_relay(to=late)
    await asyncio.to_thread(relay.wait_for, "events_waiting")
    await asyncio.sleep(2)
    said = relay.events("events_waiting")

    await create_topic(kafka_address, late)
    got = await read_topic_until(kafka_address, late, users.newest)

    assert [entry["cause"] for entry in said] == [f"Kafka: topic missing ({late})"]
    assert faults(got, users.newest) == []
    await asyncio.to_thread(relay.wait_for, "outage_over")


async def test_a_relay_that_starts_before_kafka_and_outlives_its_crash_loses_nothing(database_url, users, tmp_path):
    with servers.kafka() as kafka:
        await create_topic(kafka.address, "users", partitions=3)
        await asyncio.to_thread(kafka.kill)
        with processes.relay(tmp_path, database_url, kafka.address, "users") as relay:
            await users.changes(2)
            await asyncio.to_thread(relay.wait_for, "events_waiting")
            await asyncio.sleep(2)
            said = [entry["cause"] for entry in relay.events("events_waiting")]
            await asyncio.to_thread(kafka.start)
            await asyncio.to_thread(relay.wait_for, "outage_over")
            async with users.changing():
                await asyncio.sleep(0.5)
                await asyncio.to_thread(kafka.kill)
                await asyncio.to_thread(kafka.start)
            got = await read_topic_until(kafka.address, "users", users.newest)

            assert len(said) == 1
            assert said[0].startswith("Kafka: out of reach")
            assert faults(got, users.newest) == []
            assert relay.alive
            assert len(relay.text().splitlines()) < 40, relay.text()
            assert await asyncio.to_thread(relay.stop) == 0


@pytest.mark.parametrize("crash", ["restart", "kill"])
async def test_a_relay_outlives_postgresql(kafka_address: str, topic: str, tmp_path: Path, crash: str):
    with servers.postgres() as postgres:
        engine = create_engine(read_target(postgres.address), pool_size=1, application_name="tests")
        await migrate(engine)
        await engine.dispose()
        with processes.relay(tmp_path, postgres.address, kafka_address, topic) as relay:
            await asyncio.to_thread(relay.wait_for, "lanes_held")
            async with writer(postgres.address) as users:
                async with users.changing():
                    for _ in range(2):
                        await asyncio.sleep(0.5)
                        if crash == "kill":
                            await asyncio.to_thread(postgres.kill)
                            await asyncio.sleep(0.5)
                            await asyncio.to_thread(postgres.start)
                        else:
                            await asyncio.to_thread(postgres.restart)
                got = await read_topic_until(kafka_address, topic, users.newest)

            assert faults(got, users.newest) == []
            assert relay.alive
            assert "Traceback" not in relay.text()
            assert await asyncio.to_thread(relay.stop) == 0
