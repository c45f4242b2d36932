"""Making the topic: for development and tests. In production an operator does, with the replication that is wanted."""

import asyncio
from collections.abc import Sequence

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, for_code
from faststream.kafka.security import parse_security
from faststream.security import BaseSecurity

from application.errors import BrokerUnavailableError

_TOPIC_ALREADY_EXISTS = 36
"""Kafka's error code (kafka.apache.org/protocol, "Error Codes")."""

_REQUEST_MS = 10_000
_POLL_S = 0.02


async def create_topic(
    bootstrap_servers: Sequence[str], topic: str, security: BaseSecurity | None, *, partitions: int
) -> bool:
    """Create the topic, one copy of it, and say whether it was missing.

    Raises:
        BrokerUnavailableError: the brokers are out of reach or refuse.
    """
    admin = AIOKafkaAdminClient(
        bootstrap_servers=list(bootstrap_servers), request_timeout_ms=_REQUEST_MS, **parse_security(security)
    )
    try:
        await admin.start()
        async with asyncio.timeout(_REQUEST_MS / 1000):
            answer = await admin.create_topics([NewTopic(topic, num_partitions=partitions, replication_factor=1)])
            _, code, message, *_ = answer.topic_errors[0]
            if code not in (0, _TOPIC_ALREADY_EXISTS):
                raise BrokerUnavailableError(
                    f"The topic {topic} cannot be created: {message or for_code(code).__name__}"
                )
            # The controller made it; this broker may hear of it a moment later.
            while topic not in await admin.list_topics():  # noqa: ASYNC110  # nobody tells us
                await asyncio.sleep(_POLL_S)
    except (KafkaError, OSError) as error:  # TimeoutError is an OSError, and has no text
        reason = str(error) or "no answer in time"
        raise BrokerUnavailableError(f"Kafka at {', '.join(bootstrap_servers)} is out of reach: {reason}") from error
    finally:
        await admin.close()
    return bool(code == 0)
