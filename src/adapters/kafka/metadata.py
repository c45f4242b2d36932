"""What the brokers say of topics and of our rights to them, asked so that none is made by asking."""

from collections.abc import Collection
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Array, Boolean, Int16, Int32, Schema, String
from attrs import frozen

UNKNOWN_TOPIC = 3
NOT_AUTHORIZED = 29

# kafka.apache.org/protocol, "Metadata", version 8: the first that tells what we may do with a topic, which aiokafka's
# own request does not ask for, and the last without "flexible" fields.
_BROKERS = Array(("node_id", Int32), ("host", String("utf-8")), ("port", Int32), ("rack", String("utf-8")))
_PARTITIONS = Array(
    ("error_code", Int16),
    ("partition", Int32),
    ("leader", Int32),
    ("leader_epoch", Int32),
    ("replicas", Array(Int32)),
    ("isr", Array(Int32)),
    ("offline_replicas", Array(Int32)),
)
_TOPICS = Array(
    ("error_code", Int16),
    ("topic", String("utf-8")),
    ("is_internal", Boolean),
    ("partitions", _PARTITIONS),
    ("authorized_operations", Int32),
)

# org.apache.kafka.common.acl.AclOperation: a set bit for each code.
_OPERATIONS = {
    3: "read",
    4: "write",
    5: "create",
    6: "delete",
    7: "alter",
    8: "describe",
    10: "describe_configs",
    11: "alter_configs",
}
_NOT_TOLD = -(2**31)


class _MetadataResponse(Response):  # type: ignore[misc]  # aiokafka ships no types
    API_KEY = 3
    API_VERSION = 8
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("brokers", _BROKERS),
        ("cluster_id", String("utf-8")),
        ("controller_id", Int32),
        ("topics", _TOPICS),
        ("cluster_authorized_operations", Int32),
    )


class _MetadataRequestStruct(RequestStruct):  # type: ignore[misc]  # the same
    API_KEY = 3
    API_VERSION = 8
    RESPONSE_TYPE = _MetadataResponse
    SCHEMA = Schema(
        ("topics", Array(String("utf-8"))),
        ("allow_auto_topic_creation", Boolean),
        ("include_cluster_authorized_operations", Boolean),
        ("include_topic_authorized_operations", Boolean),
    )


class _MetadataRequest(Request[_MetadataRequestStruct]):  # type: ignore[misc]  # the same
    API_KEY = 3

    def __init__(self, topics: Collection[str]) -> None:
        self._topics = list(topics)

    def build(self, request_struct_class: type[_MetadataRequestStruct]) -> _MetadataRequestStruct:
        return request_struct_class(self._topics, False, False, True)  # the order of the protocol


class TopicMissingError(Exception):
    """The relay never creates a topic. The text is the topic's name."""


@frozen(kw_only=True)
class Described:
    """A topic, as one broker knows it."""

    error_code: int
    partitions: list[dict[str, Any]]
    operations: frozenset[str] | None
    """None when the broker does not say."""


async def describe(client: Any, topics: Collection[str]) -> tuple[int, dict[str, Described]]:
    """Return how many brokers there are, and each topic by its name.

    Args:
        client: an `AIOKafkaClient` that has found its brokers.
        topics: names; none is created.

    Raises:
        KafkaError, OSError: the broker does not answer.
    """
    return _read(await client.send(client.get_random_node(), _MetadataRequest(topics)))


async def described_on(connection: Any, topics: Collection[str]) -> tuple[int, dict[str, Described]]:
    """Ask the same over one `AIOKafkaConnection`."""
    return _read(await connection.send(_MetadataRequest(topics)))


def client_of(admin: AIOKafkaAdminClient) -> Any:
    """Return the connections of an admin client, for requests that it does not know."""
    return admin._client  # noqa: SLF001


def _read(response: Any) -> tuple[int, dict[str, Described]]:
    answer = response.to_object()
    described = {
        found["topic"]: Described(
            error_code=found["error_code"],
            partitions=found["partitions"],
            operations=_operations(found["authorized_operations"]),
        )
        for found in answer["topics"]
    }
    return len(answer["brokers"]), described


def _operations(bits: int) -> frozenset[str] | None:
    if bits == _NOT_TOLD:
        return None
    return frozenset(name for code, name in _OPERATIONS.items() if bits & 1 << code)
