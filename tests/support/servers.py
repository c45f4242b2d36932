"""Real servers for the tests: containers when a Docker daemon has the images, else the embedded ones."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from devkit.servers.postgres import EmbeddedPostgres

POSTGRES_IMAGE = os.environ.get("TEST_POSTGRES_IMAGE", "postgres:17")
KAFKA_IMAGE = os.environ.get("TEST_KAFKA_IMAGE", "apache/kafka:4.3.1")

POSTGRES_SETTINGS = {"max_connections": "300", "autovacuum_naptime": "5s"}

_ASK_DOCKER = "import sys, docker; client = docker.from_env(); [client.images.get(name) for name in sys.argv[1:]]"

PASSWORD = "seldom-seen-7Q2x"  # no word that a log has anyway: a test searches them for it
"""Of the containers' PostgreSQL."""


class Server(Protocol):
    """A server that can be crashed; after `start` or `restart` it has the same address and data."""

    address: str
    """The database URL, or Kafka's bootstrap servers."""

    def kill(self) -> None: ...
    def freeze(self) -> None:
        """Stop it from running: its connections stay, and nobody answers."""

    def thaw(self) -> None: ...
    def start(self) -> None: ...
    def restart(self) -> None: ...

    def log(self) -> str:
        """Return what it wrote, before its last start too."""


@cache
def kind() -> str:
    """Return `given`, `containers` or `embedded`; TEST_SERVERS decides, else what this machine has."""
    if os.environ.get("TEST_DATABASE_URL") and os.environ.get("TEST_KAFKA_BOOTSTRAP_SERVERS"):
        return "given"
    wanted = os.environ.get("TEST_SERVERS", "auto")
    if wanted not in {"auto", "containers", "embedded"}:
        raise SystemExit(f"TEST_SERVERS={wanted}: expected auto, containers or embedded")
    if wanted == "auto":
        return "containers" if docker_has_images() else "embedded"
    return wanted


def docker_has_images(within_s: float = 10) -> bool:
    """Ask in a process of its own: where no daemon answers, docker-py leaves its sockets open."""
    asking = [sys.executable, "-c", _ASK_DOCKER, POSTGRES_IMAGE, KAFKA_IMAGE]
    try:
        ended = subprocess.run(asking, stderr=subprocess.DEVNULL, timeout=within_s, check=False)
    except subprocess.TimeoutExpired:
        return False
    return ended.returncode == 0


_MEMORY = "/dev/shm"  # of Linux; containers get a place of their own
_ROOM = 4 << 30
"""Bytes that must be free there: a run has a database for each of its processes, and up to 1 GB of write-ahead log."""


def memory() -> str:
    """Return a folder in memory, or nothing if there is none with room."""
    try:
        free = os.statvfs(_MEMORY)
    except OSError:
        return ""
    return _MEMORY if free.f_bavail * free.f_frsize >= _ROOM else ""


new_data: Callable[[], str] | None = None
"""Tells where the run has the data of a new PostgreSQL, which runs nowhere (`shared_servers`)."""


def start_embedded_postgres(data_dir: Path, settings: Mapping[str, str]) -> "EmbeddedPostgres":
    """Start one in a new folder, on a copy of the run's new data: initdb takes ten times the CPU of that.

    All copies have one password, and one system identifier: to the service they are one database.
    """
    from devkit.servers.postgres import start_postgres  # noqa: PLC0415

    if new_data is not None:
        subprocess.run(["cp", "--archive", new_data(), data_dir], check=True)
    return start_postgres(data_dir, settings=settings)


@contextmanager
def postgres(*, tmpfs: Mapping[str, str] | None = None, in_memory: bool = False, **settings: str) -> Iterator[Server]:
    """Run a PostgreSQL of its own, which a test may crash; `tmpfs` are small disks in its container.

    An embedded one has its data in memory if there is room: a new cluster is 1,000 files, and a new database 300. With
    `in_memory` a container has it there too, and loses it when it ends.
    """
    settings = {**POSTGRES_SETTINGS, **settings}
    if kind() == "containers":
        variables = {"PGDATA": "/memory/data"} if in_memory else {}
        with _container(
            POSTGRES_IMAGE,
            port=5432,
            env={"POSTGRES_PASSWORD": PASSWORD, **variables},
            # Over TCP: the throw-away server that sets up the cluster listens on a socket file only.
            ready=lambda running: running.exec_run(["pg_isready", "--host=127.0.0.1", "--username=postgres"])[0] == 0,
            command=" ".join(f"-c {name}={value}" for name, value in settings.items()),
            tmpfs={"/memory": "rw"} if in_memory else tmpfs,
        ) as server:
            server.address = f"postgresql://postgres:{PASSWORD}@{server.address}/postgres"
            yield server
    else:
        with tempfile.TemporaryDirectory(prefix="test-postgres-", dir=memory() or None) as folder:
            embedded = start_embedded_postgres(Path(folder) / "data", settings)
            try:
                yield _Embedded(embedded, embedded.dsn)
            finally:
                embedded.kill()  # its data go with it


@contextmanager
def kafka(
    *, port: int | None = None, more_ports: Sequence[int] = (), folder: str = "", place: str = "", **settings: str
) -> Iterator[Server]:
    """Run an Apache Kafka of its own; `settings` are the broker's, with `_` for `.`, and a container sees `folder`.

    An embedded one has its data in `place`, if there is one.
    """
    from devkit.servers.kafka import known_brokers, start_kafka  # noqa: PLC0415

    if kind() == "containers":
        port = port or free_port()
        env = {
            "KAFKA_NODE_ID": "1",
            "KAFKA_PROCESS_ROLES": "broker,controller",
            "KAFKA_LISTENERS": f"PLAINTEXT://:{port},CONTROLLER://:9093",
            "KAFKA_ADVERTISED_LISTENERS": f"PLAINTEXT://localhost:{port}",
            "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
            "KAFKA_INTER_BROKER_LISTENER_NAME": "PLAINTEXT",
            "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "KAFKA_CONTROLLER_QUORUM_VOTERS": "1@localhost:9093",
            "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
            "KAFKA_OFFSETS_TOPIC_NUM_PARTITIONS": "1",
            "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
            "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR": "1",
            "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
            "KAFKA_AUTO_CREATE_TOPICS_ENABLE": "false",
            # As the embedded one has it: a killed broker is let in again after 3 s instead of 9 s, and with all of
            # Java's compilers a start takes half as much CPU again.
            "KAFKA_BROKER_SESSION_TIMEOUT_MS": "3000",
            "KAFKA_BROKER_HEARTBEAT_INTERVAL_MS": "500",
            "KAFKA_JVM_PERFORMANCE_OPTS": "-XX:+UseSerialGC -XX:TieredStopAtLevel=1",
            **{f"KAFKA_{name.upper()}": value for name, value in settings.items()},
        }
        with _container(
            KAFKA_IMAGE,
            port=port,
            bind=port,
            also=more_ports,
            env=env,
            # Its own tools are Java programs: each look would take as much CPU as the half of a start.
            ready=lambda _: bool(known_brokers(port)),
            sees=folder,
        ) as server:
            yield server
    else:
        with tempfile.TemporaryDirectory(prefix="test-kafka-", dir=place or None) as data:
            dotted = {name.replace("_", "."): value for name, value in settings.items()}
            embedded = start_kafka(Path(data) / "data", settings=dotted)
            try:
                yield _Embedded(embedded, embedded.bootstrap_servers)
            finally:
                embedded.kill()  # its data go with it, and to close each topic takes a broker 0.4 s of CPU and more


class _Embedded:
    def __init__(self, server: Any, address: str) -> None:
        self._server = server
        self.address = address

    def kill(self) -> None:
        self._server.kill()

    def freeze(self) -> None:
        os.kill(self._server.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self._server.pid, signal.SIGCONT)

    def start(self) -> None:
        self._server.start()

    def restart(self) -> None:
        self._server.restart()

    def log(self) -> str:
        files = sorted(self._server.data_dir.glob("server.log*"))
        return "".join(file.read_text(errors="replace") for file in files)


class _Container:
    def __init__(self, container: Any, address: str, ready: Callable[[Any], bool]) -> None:
        self._container = container
        self.address = address
        self._ready = ready

    def kill(self) -> None:
        self._container.kill()
        self._container.wait()

    def freeze(self) -> None:
        self._container.pause()

    def thaw(self) -> None:
        self._container.unpause()

    def start(self) -> None:
        self._container.start()
        self.wait_until_ready()

    def restart(self) -> None:
        self._container.stop(timeout=20)
        self.start()

    def log(self) -> str:
        return str(self._container.logs().decode(errors="replace"))

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + 60
        while not self._ready(self._container):
            if time.monotonic() > deadline:
                raise TimeoutError(self._container.logs(tail=20).decode())
            time.sleep(0.1)


@contextmanager
def _container(
    image: str,
    *,
    port: int,
    env: dict[str, str],
    ready: Callable[[Any], bool],
    bind: int | None = None,
    also: Sequence[int] = (),
    command: str | None = None,
    tmpfs: Mapping[str, str] | None = None,
    sees: str = "",
) -> Iterator[_Container]:
    from testcontainers.core.container import DockerContainer  # noqa: PLC0415

    # A random host port would change when the container is stopped and started.
    bind = bind or free_port()
    container = DockerContainer(image).with_bind_ports(port, bind)
    for name, value in env.items():
        container = container.with_env(name, value)
    for other in also:
        container = container.with_bind_ports(other, other)
    if command:
        container = container.with_command(command)
    if sees:
        container = container.with_volume_mapping(sees, sees, "ro")
    for path, options in (tmpfs or {}).items():
        container = container.with_tmpfs_mount(path, options)
    with container:
        server = _Container(container.get_wrapped_container(), f"localhost:{bind}", ready)
        server.wait_until_ready()
        yield server


def free_port() -> int:
    from devkit.servers import ports  # noqa: PLC0415

    return ports.free_port()
