"""A Kafka with listeners that send their clients to addresses of a test's choice."""

import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from attrs import frozen

from support import servers

NAME_UNKNOWN = "kafka.invalid:9092"
REFUSED = "127.0.0.1:1"


@frozen
class Advertising:
    good: str
    """An address that sends clients to itself."""
    bad: Mapping[str, str]
    """By what it advertises, an address that sends clients there."""


@contextmanager
def kafka_advertising(*advertised: str) -> Iterator[Advertising]:
    open_port, controller, *ports = (servers.free_port() for _ in range(2 + len(advertised)))
    names = [f"CLIENT{number}" for number in range(len(ports))]
    protocols = ",".join(f"{name}:PLAINTEXT" for name in ("PLAINTEXT", "CONTROLLER", *names))
    in_container = servers.kind() == "containers"
    here = "" if in_container else "127.0.0.1"
    listeners = [f"{name}://{here}:{port}" for name, port in zip(names, ports, strict=True)]
    good = f"{'localhost' if in_container else here}:{open_port}"
    settings = {
        "listener.security.protocol.map": protocols,
        "listeners": ",".join(
            [
                f"PLAINTEXT://{here}:{open_port}",
                *listeners,
                f"CONTROLLER://{here}:{9093 if in_container else controller}",
            ]
        ),
        "advertised.listeners": ",".join(
            [f"PLAINTEXT://{good}", *(f"{name}://{address}" for name, address in zip(names, advertised, strict=True))]
        ),
    }
    found = {address: f"{here or 'localhost'}:{port}" for address, port in zip(advertised, ports, strict=True)}
    if in_container:
        underscored = {name.replace(".", "_"): value for name, value in settings.items()}
        with servers.kafka(port=open_port, more_ports=ports, **underscored) as server:
            yield Advertising(server.address, found)
        return
    from devkit.servers.kafka import start_kafka  # noqa: PLC0415

    settings["controller.quorum.voters"] = f"1@{here}:{controller}"
    with TemporaryDirectory(prefix="test-kafka-") as folder:
        embedded = start_kafka(Path(folder) / "data", port=open_port, settings=settings)
        try:
            yield Advertising(embedded.bootstrap_servers, found)
        finally:
            embedded.stop()


@contextmanager
def silent_listener() -> Iterator[str]:
    """An address where connections are accepted, by the system, and nobody ever answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"
