"""Waits for the markers of a committed transaction: they are written after the commit is acknowledged."""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Mapping
from functools import partial

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import LeaderNotAvailableError

from adapters.kafka.metadata import LATEST, offsets_of

PATIENCE_S = 1.0
"""Another relay's open transaction before ours delays the last stable offset, for long if that relay was killed.
Markers take milliseconds: when the brokers have answered for this long, ours are written."""


async def until_stable(client: AIOKafkaProducer, topic: str, ends: Mapping[int, int]) -> None:
    """Wait until `read_committed` consumers see what was committed before these offsets, by partition.

    The coordinator acknowledges a commit before it writes the markers. A broker that is killed in between and restarts
    as the only one sometimes loses them (seen with Kafka 4.3.1: the coordinator completes a transaction before it has
    the topic's metadata); then the records would count as rolled back. KafkaError: a broker was lost meanwhile.
    """
    pause, patience = 0.001, asyncio.get_running_loop().time() + PATIENCE_S
    while True:
        stable = await _last_stable(client, topic, ends)
        is_stable = all(stable[partition] >= end for partition, end in ends.items())
        if is_stable or asyncio.get_running_loop().time() > patience:
            return
        await asyncio.sleep(pause)
        pause = min(2 * pause, 0.05)


async def _last_stable(client: AIOKafkaProducer, topic: str, partitions: Collection[int]) -> dict[int, int]:
    by_leader: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for partition in partitions:
        leader = client.client.cluster.leader_for_partition(TopicPartition(topic, partition))
        if leader is None or leader < 0:
            raise LeaderNotAvailableError
        by_leader[leader].append((partition, LATEST))
    stable: dict[int, int] = {}
    for leader, asked in by_leader.items():
        stable |= await offsets_of(partial(client.client.send, leader), topic, asked)
    return stable
