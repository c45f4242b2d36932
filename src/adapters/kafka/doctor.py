"""What `doctor` and `topic` want to know of the topics."""

from collections.abc import Sequence

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from attrs import evolve
from faststream.security import BaseSecurity

from adapters.kafka.metadata import NOT_AUTHORIZED, UNKNOWN_TOPIC, Described, client_of, describe
from adapters.kafka.topics import administering, refused
from application.relay.topics import Topic, TopicFacts


async def examine_topics(
    bootstrap_servers: Sequence[str], topics: Sequence[Topic], security: BaseSecurity | None
) -> list[TopicFacts]:
    """Ask the brokers about the topics, without making any.

    Raises:
        BrokerUnavailableError: no broker answers, or it refuses; the message says why.
    """
    async with administering(bootstrap_servers, security) as (admin, away):
        brokers, found = await describe(client_of(admin), [topic.name for topic in topics])
        cluster = TopicFacts(topic=topics[0], brokers=brokers, out_of_reach=[silence.failure for silence in away])
        return [await _facts(admin, evolve(cluster, topic=topic), found[topic.name]) for topic in topics]


async def _facts(admin: AIOKafkaAdminClient, unknown: TopicFacts, found: Described) -> TopicFacts:
    topic = unknown.topic
    match found.error_code:
        case 0:
            pass
        case code if code == UNKNOWN_TOPIC:
            return unknown
        case code if code == NOT_AUTHORIZED:
            return evolve(unknown, hidden=True)
        case code:
            raise refused(f"The topic {topic.name} cannot be described", code, None)
    return evolve(
        unknown,
        partitions=len(found.partitions),
        replication_factor=min(len(partition["replicas"]) for partition in found.partitions),
        in_sync=min(len(partition["isr"]) for partition in found.partitions),
        leaderless=sum(partition["leader"] < 0 for partition in found.partitions),
        settings=await _settings(admin, topic.name),
        operations=found.operations,
    )


async def _settings(admin: AIOKafkaAdminClient, topic: str) -> dict[str, str] | None:
    [answer] = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
    [(code, _, _, _, entries)] = answer.resources
    if code == NOT_AUTHORIZED:
        return None
    if code:
        raise refused(f"The settings of {topic} cannot be read", code, None)
    return {entry[0]: entry[1] for entry in entries if entry[1] is not None}
