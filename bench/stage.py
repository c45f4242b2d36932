"""The servers and processes that benchmarks run on: everything on loopback, everything gone afterwards."""

import asyncio
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeAlias, TypeVar
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import psutil
from attrs import field, frozen

from adapters.kafka.topics import create_topics
from adapters.postgres.connection.target import read_target
from adapters.postgres.engine import create_engine
from adapters.postgres.migrate import migrate
from application.relay.topics import EVENTS, Topic, TopicDefinition
from devkit.local.keys import LocalKeys, new_keys
from devkit.servers import guard
from devkit.servers.data_dir import locked
from devkit.servers.kafka import EmbeddedKafka, start_kafka
from devkit.servers.ports import LOOPBACK, free_port
from devkit.servers.postgres import EmbeddedPostgres, start_postgres

ROOT = Path(__file__).parent.parent
PYTHON = Path(sys.executable)
ISSUER = "https://clerk.bench.example"
PARTITIONS = 6
_READY_S = 60.0

# Everything else is PostgreSQL's default, fsync among it. Checkpoints are asked for between runs, not met within one;
# a logical WAL is for Debezium, and all others pay for it too.
_POSTGRES = {
    "shared_buffers": "512MB",
    "max_wal_size": "8GB",
    "checkpoint_timeout": "30min",
    "wal_level": "logical",
    "shared_preload_libraries": "pg_stat_statements",
}

T = TypeVar("T")
Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


@frozen
class Child:
    """A process that a benchmark started."""

    pid: int
    log: Path

    def cpu_seconds(self) -> float:
        """What it and its children used so far."""
        processes = [psutil.Process(self.pid), *psutil.Process(self.pid).children(recursive=True)]
        return sum(sum(process.cpu_times()[:2]) for process in processes)


@frozen(kw_only=True)
class Stage:
    """A PostgreSQL, a Kafka, and a folder."""

    postgres: EmbeddedPostgres = field(repr=False)
    _kafka: EmbeddedKafka | None
    folder: Path
    keys: LocalKeys = field(repr=False)
    lock: int

    @property
    def kafka(self) -> EmbeddedKafka:
        assert self._kafka, "the stage was opened without"  # noqa: S101
        return self._kafka

    def database(self, name: str, *, ours: bool = True) -> str:
        """Make a new database, with our schema or empty, and return its URL."""
        self.sql(self.postgres.dsn, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        self.sql(self.postgres.dsn, f"CREATE DATABASE {name}")
        url = urlunsplit(urlsplit(self.postgres.dsn)._replace(path=f"/{name}"))
        if ours:
            asyncio.run(_migrated(url))
        return url

    def migrate(self, url: str, python: Path) -> None:
        """Give an empty database the schema of the checkout whose interpreter this is."""
        command = [str(python), "-m", "entrypoints.cli.main", "migrate"]
        subprocess.run(command, check=True, cwd=self.folder, env={**_inherited(), "DATABASE_URL": url})

    def topic(self, name: str, definition: TopicDefinition = EVENTS) -> str:
        topics = [Topic(name, definition)]
        asyncio.run(create_topics([self.kafka.bootstrap_servers], topics, None, partitions=PARTITIONS))
        return name

    def sql(self, url: str, statement: str, *parameters: object) -> list[asyncpg.Record]:
        return self.database_work(url, lambda connection: connection.fetch(statement, *parameters))

    def database_work(self, url: str, work: Callable[[Connection], Awaitable[T]]) -> T:
        async def connected() -> T:
            connection = await asyncpg.connect(url, timeout=30)
            try:
                return await work(connection)
            finally:
                await connection.close()

        return asyncio.run(connected())

    def settle(self, url: str, *tables: str) -> None:
        """Empty the tables (what one run left would be the next one's load) and write out what is dirty."""
        if tables:
            self.sql(url, f"TRUNCATE {', '.join(tables)} RESTART IDENTITY")
        self.sql(url, "CHECKPOINT")

    def wait_until_none(self, url: str, table: str) -> None:
        deadline = time.monotonic() + _READY_S
        while self.sql(url, f"SELECT 1 FROM {table} LIMIT 1"):  # noqa: S608  # a name of ours
            if time.monotonic() > deadline:
                raise RuntimeError(f"{table} does not get empty")
            time.sleep(0.05)

    @contextmanager
    def child(
        self,
        name: str,
        command: Sequence[str | Path],
        environment: Mapping[str, str],
        *,
        cwd: Path = ROOT,
        port: int | None = None,
    ) -> Iterator[Child]:
        """Run a program below the guard, which stops it with this process; `port`: wait until it listens there."""
        log = self.folder / f"{name}.log"
        guarded = [sys.executable, "-IS", guard.__file__, f"--lock-fd={self.lock}", "--stop=SIGTERM:20", "--"]
        with log.open("wb") as output:
            process = subprocess.Popen(
                [*guarded, *map(str, command)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                pass_fds=[self.lock],
                cwd=cwd,
                env={**_inherited(), **environment},
                start_new_session=True,
            )
        assert process.stdin  # noqa: S101  # piped
        assert process.stdout  # noqa: S101
        try:
            child = Child(int(process.stdout.readline() or 0), log)
            if port is not None:
                _wait_for(port, process, log)
            yield child
            if process.poll() is not None:
                raise RuntimeError(f"{name} ended by itself:\n{log.read_text(errors='replace')[-3000:]}")
        finally:
            process.stdin.close()
            process.stdout.close()
            process.wait(40)

    @contextmanager
    def serve(
        self, url: str, workers: int = 1, python: Path = PYTHON, **environment: str
    ) -> Iterator[tuple[int, Child]]:
        """Run `auth-service serve`, of another checkout when `python` is its; yields its port."""
        port = free_port()
        # Unless it is told where to find the key, it has it.
        trust = {"CLERK_WEBHOOK_SECRET": self.keys.webhook_secret}
        if "CLERK_JWKS_URL" not in environment:
            trust |= self.keys.environment
        variables = {**trust, "CLERK_ISSUER": ISSUER, "DATABASE_URL": url, "PORT": str(port), **environment}
        command = [str(python), "-m", "entrypoints.cli.main", "serve", f"--workers={workers}"]
        with self.child("serve", command, variables, cwd=self.folder, port=port) as child:
            if workers > 1:
                time.sleep(2)  # the port answers when the first worker is there
            yield port, child

    @contextmanager
    def relay(self, url: str, topic: str, python: Path = PYTHON, **environment: str) -> Iterator[Child]:
        """Run `auth-service relay`, of another checkout when `python` is its."""
        variables = {
            "DATABASE_URL": url,
            "KAFKA_BOOTSTRAP_SERVERS": self.kafka.bootstrap_servers,
            "KAFKA_USER_EVENTS_TOPIC": topic,
            **environment,
        }
        command = [str(python), "-m", "entrypoints.cli.main", "relay"]
        with self.child("relay", command, variables, cwd=self.folder) as child:
            yield child


@contextmanager
def open_stage(*, with_kafka: bool = True) -> Iterator[Stage]:
    with ExitStack() as exits:
        folder = Path(exits.enter_context(tempfile.TemporaryDirectory(prefix="auth-service-bench-")))
        lock = exits.enter_context(locked(folder, "The benchmark"))
        postgres = start_postgres(folder / "postgres", settings=_POSTGRES)
        exits.callback(postgres.stop)
        kafka = start_kafka(folder / "kafka", full_jit=True) if with_kafka else None
        if kafka:
            exits.callback(kafka.stop)
        yield Stage(postgres=postgres, kafka=kafka, folder=folder, keys=new_keys(), lock=lock)


async def _migrated(url: str) -> None:
    engine = create_engine(read_target(url), pool_size=1, application_name="bench")
    try:
        await migrate(engine)
    finally:
        await engine.dispose()


def _inherited() -> dict[str, str]:
    return {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}


def _wait_for(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + _READY_S
    while True:
        try:
            socket.create_connection((LOOPBACK, port), timeout=1).close()
        except OSError:
            if process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.05)
                continue
            raise RuntimeError(f"nothing listens:\n{log.read_text(errors='replace')[-3000:]}") from None
        return
