"""Many ways for a producer to fail at once: none of them may reorder a user's events."""

import asyncio
import itertools
import random

import pytest

from adapters.kafka import publisher as publisher_module
from application.relay.lanes import LANES
from application.relay.relay_events import RelayEvents
from devkit.servers.kafka import EmbeddedKafkaCluster, start_kafka_cluster
from integration.conftest import create_topic
from integration.kafka.test_publisher_contract import pending
from support.ledger import faults, read_topic
from support.memory import MemoryOutbox
from support.publishing import publisher_to

pytestmark = pytest.mark.faults


async def test_two_relays_on_the_same_lanes_reorder_nothing_while_brokers_die_and_patience_is_short(
    tmp_path, monkeypatch
):
    """Many batches a partition, deadlines that cut requests in flight, new producers all the time, no leases at all."""
    monkeypatch.setattr(publisher_module, "DEADLINE_S", 1.5)
    cluster = await asyncio.to_thread(start_kafka_cluster, tmp_path)
    outbox = MemoryOutbox()
    users = [f"user_{number}" for number in range(6)]
    for version in range(1, 81):
        outbox.add(*(pending(user, version, size=20_000).message for user in users))
    await create_topic(cluster.bootstrap_servers, "users", partitions=2, replicas=3)
    done = asyncio.Event()
    breaking = asyncio.create_task(break_brokers(cluster, done))
    try:
        publishers = [publisher_to(cluster.bootstrap_servers, "users") for _ in range(2)]
        relays = [RelayEvents(outbox, publisher) for publisher in publishers]
        outages = sum(await asyncio.gather(*(until_empty(relay) for relay in relays)))
        done.set()
        await breaking
        for publisher in publishers:
            await publisher.aclose()
        got = await read_topic(cluster.bootstrap_servers, "users")
    finally:
        done.set()
        await breaking
        for broker in cluster.brokers:
            await asyncio.to_thread(broker.kill)

    assert outages > 0
    assert faults(got, dict.fromkeys(users, 80)) == []


async def break_brokers(cluster: EmbeddedKafkaCluster, done: asyncio.Event) -> None:
    dice = random.Random(11)
    for count in itertools.cycle((1, 2, 1, 3)):
        dying = dice.sample(list(cluster.brokers), count)
        await asyncio.gather(*(asyncio.to_thread(broker.kill) for broker in dying))
        await asyncio.sleep(dice.uniform(0.5, 1.5))
        await asyncio.gather(*(asyncio.to_thread(broker.start) for broker in dying))
        await asyncio.sleep(dice.uniform(0.2, 1.0))
        if done.is_set():
            return


async def until_empty(relay: RelayEvents) -> int:
    """Run rounds until nothing is left; return how many of them an outage cut short."""
    outages = 0
    async with asyncio.timeout(240):
        while (done := await relay(range(LANES), 120)).taken:
            outages += done.outage is not None
            await asyncio.sleep(0.3)
    return outages
