"""Kafka of three brokers, `min.insync.replicas` 2: one that dies is no outage, two are one that ends by itself."""

import asyncio
import random
import time

import pytest
from aiokafka import AIOKafkaConsumer

from application.relay.topics import SESSIONS
from devkit.servers.kafka import start_kafka_cluster
from integration.conftest import create_topic
from integration.faults.test_chaos import differences, users_of
from support import processes, servers
from support.drill import Service
from support.failover import unexpected
from support.ledger import faults, read_topic_until
from support.senders import Life, Senders
from support.web import SECRET

pytestmark = pytest.mark.faults

USERS = [f"user_{number}" for number in range(40)]


@pytest.fixture
async def cluster(tmp_path):
    running = await asyncio.to_thread(start_kafka_cluster, tmp_path / "cluster")
    for name in ("users", SESSIONS.default_name):
        await create_topic(running.bootstrap_servers, name, replicas=3, min_insync_replicas="2")
    yield running
    for broker in running.brokers:
        await asyncio.to_thread(broker.kill)


async def test_one_of_three_brokers_dies_under_load_and_then_a_second(cluster, database_url, tmp_path):
    port, metrics_port = servers.free_port(), servers.free_port()
    metrics = ("--metrics-port", str(metrics_port))
    url = f"http://127.0.0.1:{port}"
    senders = Senders(Life(random.Random(5), USERS), [url], SECRET)
    with (
        processes.serve(tmp_path, database_url, port) as serve,
        processes.relay(tmp_path, database_url, cluster.bootstrap_servers, "users", *metrics) as relay,
    ):
        service = Service(serve, relay, port, metrics_port, {**serve.variables, **relay.variables}, tmp_path)
        await senders.until_served()
        load = asyncio.create_task(senders.run(senders=4, pause=lambda: 0.02))
        try:
            await asyncio.sleep(2)
            first, second, _ = cluster.brokers
            await asyncio.to_thread(first.kill)
            _, examined = await asyncio.to_thread(service.doctor)
            await goes_on(cluster.bootstrap_servers, more=100)
            told_of_one = [line["cause"] for line in relay.events("events_waiting")]

            await asyncio.to_thread(second.kill)
            taken = len(senders.acknowledged)
            await asyncio.to_thread(relay.wait_for, "events_waiting", count=len(told_of_one) + 1, within=60)
            await asyncio.sleep(1)
            taken_meanwhile = len(senders.acknowledged) - taken

            await asyncio.gather(asyncio.to_thread(first.start), asyncio.to_thread(second.start))
            await goes_on(cluster.bootstrap_servers, more=100)
        finally:
            senders.stop()
            await load
        stored = await users_of(database_url, {webhook.user for webhook in senders.acknowledged})
        newest = {user_id: user.version for user_id, user in stored.items()}
        got = await read_topic_until(cluster.bootstrap_servers, "users", newest, within=60)

    assert taken_meanwhile > 50  # webhooks need no Kafka
    assert told_of_one == []
    assert examined["topic"]["severity"] == "ok"  # though the others still advertise the one that is dead
    assert "kafka" in examined
    assert faults(got, newest) == []
    assert differences(stored, got, senders.acknowledged) == []
    assert (senders.refused, senders.retried) == ([], {})
    assert unexpected(serve, relay) == []


async def goes_on(bootstrap_servers: str, *, more: int) -> None:
    """Wait until so many more events have come."""
    wanted = None
    deadline = time.monotonic() + 90
    while True:
        async with AIOKafkaConsumer("users", bootstrap_servers=bootstrap_servers) as consumer:
            count = sum((await consumer.end_offsets(consumer.assignment())).values())
        wanted = wanted or count + more
        if count >= wanted:
            return
        assert time.monotonic() < deadline, f"{count} of {wanted}"
        await asyncio.sleep(0.3)
