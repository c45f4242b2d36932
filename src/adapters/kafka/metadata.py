"""Metadata of brokers and topics, requested without automatic creation of topics."""

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from typing import Any, TypeAlias

from aiokafka.errors import TopicAuthorizationFailedError, UnknownTopicOrPartitionError, for_code
from aiokafka.protocol.metadata import MetadataRequest
from aiokafka.protocol.offset import OffsetRequest
from attrs import frozen

UNKNOWN_TOPIC, NOT_AUTHORIZED = UnknownTopicOrPartitionError.errno, TopicAuthorizationFailedError.errno
READ_COMMITTED = 1
LATEST, EARLIEST = -1, -2  # instead of a time, the end and the beginning of a partition

Send: TypeAlias = Callable[[Any], Awaitable[Any]]
"""`AIOKafkaConnection.send`, or `AIOKafkaClient.send` to one node; raises KafkaError and OSError."""


class TopicMissingError(Exception):
    """The relay never creates a topic. The text is the topic's name."""


@frozen(kw_only=True)
class Described:
    """A topic, in the metadata of one broker."""

    error_code: int
    partitions: list[dict[str, Any]]


@frozen
class Metadata:
    brokers: Mapping[int, str]  # the advertised addresses, `host:port`, by node
    topics: Mapping[str, Described]


def address(host: str, port: int) -> str:
    """Write `host:port`, an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


async def metadata_of(send: Send, topics: Collection[str] = ()) -> Metadata:
    """Ask for all brokers and for these topics; errors are those of `send`."""
    answer = (await send(MetadataRequest(list(topics), allow_auto_topic_creation=False))).to_object()
    return Metadata(
        {broker["node_id"]: address(broker["host"], broker["port"]) for broker in answer["brokers"]},
        {
            found["topic"]: Described(error_code=found["error_code"], partitions=found["partitions"])
            for found in answer["topics"]
        },
    )


async def offsets_of(send: Send, topic: str, times: Iterable[tuple[int, int]]) -> dict[int, int]:
    """Return each partition's first offset committed at its time (ms) or later, or -1; KafkaError: no leader of one."""
    answer = await send(OffsetRequest(-1, READ_COMMITTED, [(topic, list(times))]))
    found = {}
    for partition, code, _, offset in (each for _, partitions in answer.topics for each in partitions):
        if code:
            raise for_code(code)
        found[partition] = int(offset)
    return found
