"""What `doctor` wants to know of the topic."""

import asyncio
from collections.abc import Sequence

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError
from faststream.kafka.security import parse_security
from faststream.security import BaseSecurity

from application.errors import BrokerUnavailableError
from application.examination import TopicFacts

_REQUEST_MS = 5_000


async def examine_topic(bootstrap_servers: Sequence[str], topic: str, security: BaseSecurity | None) -> TopicFacts:
    """Ask the brokers about the topic, without making it.

    Raises:
        BrokerUnavailableError: no broker answers, or it refuses.
    """
    admin = AIOKafkaAdminClient(
        bootstrap_servers=list(bootstrap_servers), request_timeout_ms=_REQUEST_MS, **parse_security(security)
    )
    try:
        async with asyncio.timeout(3 * _REQUEST_MS / 1000):
            await admin.start()
            if topic not in await admin.list_topics():
                return TopicFacts(topic=topic, partitions=None, settings={})
            [described] = await admin.describe_topics([topic])
            [configs] = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
    except (KafkaError, OSError, TimeoutError) as error:
        servers = ", ".join(bootstrap_servers)
        raise BrokerUnavailableError(f"Kafka at {servers} does not answer ({type(error).__name__})") from error
    finally:
        await admin.close()
    [(_, _, _, _, entries)] = configs.resources
    settings = {entry[0]: entry[1] for entry in entries}
    return TopicFacts(topic=topic, partitions=len(described["partitions"]), settings=settings)
