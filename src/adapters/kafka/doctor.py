"""Facts about the topics, for `doctor` and `topic`."""

from collections.abc import Sequence

from aiokafka.admin.config_resource import ConfigResourceType
from aiokafka.conn import AIOKafkaConnection
from aiokafka.protocol.admin import DescribeConfigsRequest
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.protocol.produce import ProduceRequest
from attrs import evolve
from faststream.security import BaseSecurity

from adapters.kafka.metadata import NOT_AUTHORIZED, UNKNOWN_TOPIC, Described, metadata_of
from adapters.kafka.topics import questioning, refused
from anomalyze_auth.kafka.security import client_options
from application.relay.topics import Topic, TopicFacts

_NO_PARTITION = 2**31 - 1
"""A partition that no topic has: a request for it is refused, without the right or as unknown, and has no effect."""


async def examine_topics(
    bootstrap_servers: Sequence[str], topics: Sequence[Topic], security: BaseSecurity | None
) -> list[TopicFacts]:
    """Describe the topics without creating any; BrokerUnavailableError: no broker answers, or it refuses."""
    async with questioning(bootstrap_servers, client_options(security)) as (connection, away):
        known = await metadata_of(connection.send, [topic.name for topic in topics])
        return [
            await _facts(
                connection,
                TopicFacts(topic=topic, brokers=len(known.brokers), out_of_reach=away),
                known.topics[topic.name],
            )
            for topic in topics
        ]


async def _facts(connection: AIOKafkaConnection, unknown: TopicFacts, found: Described) -> TopicFacts:
    topic = unknown.topic
    code = found.error_code
    if code in (UNKNOWN_TOPIC, NOT_AUTHORIZED):
        return evolve(unknown, hidden=code == NOT_AUTHORIZED)
    if code:
        raise refused(f"The topic {topic.name} cannot be described", code, None)
    return evolve(
        unknown,
        partitions=len(found.partitions),
        replication_factor=min(len(partition["replicas"]) for partition in found.partitions),
        in_sync=min(len(partition["isr"]) for partition in found.partitions),
        leaderless=sum(partition["leader"] < 0 for partition in found.partitions),
        settings=await _settings(connection, topic.name),
        operations=await _operations(connection, topic.name),
    )


async def _settings(connection: AIOKafkaConnection, topic: str) -> dict[str, str] | None:
    answer = await connection.send(DescribeConfigsRequest([(ConfigResourceType.TOPIC, topic, None)]))
    [(code, _, _, _, entries)] = answer.resources
    if code == NOT_AUTHORIZED:
        return None
    if code:
        raise refused(f"The settings of {topic} cannot be read", code, None)
    return {entry[0]: entry[1] for entry in entries if entry[1] is not None}


async def _operations(connection: AIOKafkaConnection, topic: str) -> frozenset[str]:
    """Return which of `write` and `read` are permitted, which brokers check first."""
    writing = await connection.send(ProduceRequest(None, -1, 1000, [(topic, [(_NO_PARTITION, b"")])]))
    reading = await connection.send(FetchRequest(0, 0, 1024, 0, [(topic, [(_NO_PARTITION, 0, 1024)])]))
    [(_, [(_, write_code, *_)])] = writing.topics
    [(_, [(_, read_code, *_)])] = reading.topics
    return frozenset(name for name, code in (("write", write_code), ("read", read_code)) if code != NOT_AUTHORIZED)
