"""What the brokers say of topics, asked so that none is made by asking."""

from collections.abc import Collection
from typing import Any

from aiokafka.protocol.metadata import MetadataRequest
from attrs import frozen

UNKNOWN_TOPIC = 3
NOT_AUTHORIZED = 29


class TopicMissingError(Exception):
    """The relay never creates a topic. The text is the topic's name."""


@frozen(kw_only=True)
class Described:
    """A topic, as one broker knows it."""

    error_code: int
    partitions: list[dict[str, Any]]


async def describe(client: Any, topics: Collection[str]) -> tuple[int, dict[str, Described]]:
    """Return how many brokers there are, and each topic by its name.

    Args:
        client: an `AIOKafkaClient` that has found its brokers.
        topics: names; none is created.

    Raises:
        KafkaError, OSError: the broker does not answer.
    """
    return _read(await client.send(client.get_random_node(), _asking(topics)))


async def described_on(connection: Any, topics: Collection[str]) -> tuple[int, dict[str, Described]]:
    """Ask the same over one `AIOKafkaConnection`."""
    return _read(await connection.send(_asking(topics)))


def _asking(topics: Collection[str]) -> MetadataRequest:
    return MetadataRequest(list(topics), allow_auto_topic_creation=False)


def _read(response: Any) -> tuple[int, dict[str, Described]]:
    answer = response.to_object()
    described = {
        found["topic"]: Described(error_code=found["error_code"], partitions=found["partitions"])
        for found in answer["topics"]
    }
    return len(answer["brokers"]), described
