"""A Kafka that asks who we are, and a way to forbid something there."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Array, Int8, Int16, Int32, Schema, String
from attrs import frozen

from support import servers

USER, PASSWORD = "auth-service", "correct-password"

_JAAS = f'org.apache.kafka.common.security.plain.PlainLoginModule required user_{USER}="{PASSWORD}";'
# Whoever comes by the first listener is ANONYMOUS, and may do everything that no ACL is about.
_SETTINGS = {
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "allow.everyone.if.no.acl.found": "true",
    "sasl.enabled.mechanisms": "PLAIN",
    "listener.name.client.plain.sasl.jaas.config": _JAAS,
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,CLIENT:SASL_PLAINTEXT",
}

READ, WRITE, DESCRIBE, DESCRIBE_CONFIGS = 3, 4, 8, 10
DENY, ALLOW = 2, 3
_TOPIC, _LITERAL = 2, 3

_Acl = tuple[int, str, int, str, str, int, int]
"""A creation, in the order of the fields below."""


@frozen
class SecuredKafka:
    open_address: str
    """Where nobody is asked."""
    address: str
    """Where `USER` with `PASSWORD` is let in, by SASL PLAIN."""


@contextmanager
def secured_kafka() -> Iterator[SecuredKafka]:
    open_port, port, controller = (servers.free_port() for _ in range(3))
    if servers.kind() == "containers":
        listeners = f"PLAINTEXT://:{open_port},CLIENT://:{port},CONTROLLER://:9093"
        advertised = f"PLAINTEXT://localhost:{open_port},CLIENT://localhost:{port}"
        settings = {**_SETTINGS, "listeners": listeners, "advertised.listeners": advertised}
        underscored = {name.replace(".", "_"): value for name, value in settings.items()}
        with servers.kafka(port=open_port, more_ports=(port,), **underscored) as server:
            yield SecuredKafka(server.address, f"localhost:{port}")
        return
    from devkit.servers.kafka import start_kafka  # noqa: PLC0415

    here = "127.0.0.1"
    addresses = f"PLAINTEXT://{here}:{open_port},CLIENT://{here}:{port}"
    settings = {
        **_SETTINGS,
        "listeners": f"{addresses},CONTROLLER://{here}:{controller}",
        "advertised.listeners": addresses,
        "controller.quorum.voters": f"1@{here}:{controller}",
    }
    with TemporaryDirectory(prefix="test-kafka-") as folder:
        embedded = start_kafka(Path(folder) / "data", port=open_port, settings=settings)
        try:
            yield SecuredKafka(embedded.bootstrap_servers, f"{here}:{port}")
        finally:
            embedded.stop()


# kafka.apache.org/protocol, "CreateAcls", version 1; aiokafka's admin client does not know it.
class _Response(Response):  # type: ignore[misc]  # aiokafka ships no types
    API_KEY = 30
    API_VERSION = 1
    SCHEMA = Schema(
        ("throttle_time_ms", Int32), ("results", Array(("error_code", Int16), ("error_message", String("utf-8"))))
    )


class _RequestStruct(RequestStruct):  # type: ignore[misc]  # aiokafka ships no types
    API_KEY = 30
    API_VERSION = 1
    RESPONSE_TYPE = _Response
    SCHEMA = Schema(
        (
            "creations",
            Array(
                ("resource_type", Int8),
                ("resource_name", String("utf-8")),
                ("resource_pattern_type", Int8),
                ("principal", String("utf-8")),
                ("host", String("utf-8")),
                ("operation", Int8),
                ("permission_type", Int8),
            ),
        )
    )


class _CreateAcls(Request[_RequestStruct]):  # type: ignore[misc]  # aiokafka ships no types
    API_KEY = 30

    def __init__(self, acls: list[_Acl]) -> None:
        self._acls = acls

    def build(self, request_struct_class: type[_RequestStruct]) -> _RequestStruct:
        return request_struct_class(self._acls)


async def set_rights(open_address: str, topic: str, *, user: str, allowed: list[int], denied: list[int]) -> None:
    """Allow and deny operations on a topic; what is in neither list is denied too, as there is an ACL now."""
    rights = [(operation, ALLOW) for operation in allowed] + [(operation, DENY) for operation in denied]
    acls = [(_TOPIC, topic, _LITERAL, f"User:{user}", "*", operation, permission) for operation, permission in rights]
    admin = AIOKafkaAdminClient(bootstrap_servers=open_address)
    await admin.start()
    try:
        answer = await admin._send_to_controller(_CreateAcls(acls))
        assert all(code == 0 for code, _ in answer.results), answer
    finally:
        await admin.close()
