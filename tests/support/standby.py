"""A PostgreSQL primary and standbys that follow it by streaming replication, for tests that pause and break them."""

import asyncio
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import asyncpg
import psutil
from attrs import define

from devkit.servers.postgres import EmbeddedPostgres, start_postgres
from devkit.servers.standby import start_standby
from support.servers import memory

SETTINGS = {"max_connections": "100", "autovacuum_naptime": "5s"}


@define(eq=False)
class Node:
    """A server of the cluster; it keeps its address over `kill` and `start`."""

    server: EmbeddedPostgres

    @property
    def url(self) -> str:
        return self.server.dsn

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server.port}"

    def sql(self, statement: str, *parameters: object) -> Any:
        """Return the first value; from inside a running loop, too."""
        with ThreadPoolExecutor(1) as other_thread:
            return other_thread.submit(asyncio.run, _value(self.url, statement, *parameters)).result()

    def pause_replay(self) -> None:
        self.sql("SELECT pg_wal_replay_pause()")
        while self.sql("SELECT pg_get_wal_replay_pause_state()") != "paused":
            time.sleep(0.01)

    def resume_replay(self) -> None:
        self.sql("SELECT pg_wal_replay_resume()")

    def promote(self) -> None:
        self.sql("SELECT pg_promote()")

    def kill(self) -> None:
        self.server.kill()

    def start(self) -> None:
        self.server.start()

    def freeze(self) -> None:
        """Stop the server and every process of its connections: what connects is accepted by the kernel alone."""
        for process in self._processes():
            process.suspend()

    def thaw(self) -> None:
        for process in self._processes():
            with suppress(psutil.NoSuchProcess):
                process.resume()

    def repair(self) -> None:
        """Have it run, whether it was killed or frozen or neither."""
        self.start()
        self.thaw()

    def _processes(self) -> list[psutil.Process]:
        server = psutil.Process(self.server.pid)
        return [server, *server.children(recursive=True)]


@define(eq=False)
class Cluster:
    primary: Node
    standbys: Sequence[Node]

    def wait_until_replayed(self) -> None:
        """Wait until every standby has what the primary has now."""
        position = self.primary.sql("SELECT pg_current_wal_insert_lsn()::text")
        deadline = time.monotonic() + 60
        for standby in self.standbys:
            while not standby.sql("SELECT pg_last_wal_replay_lsn() >= $1::text::pg_lsn", position):
                assert time.monotonic() < deadline, "the standby does not follow"
                time.sleep(0.01)


@contextmanager
def cluster(standbys: int = 1) -> Iterator[Cluster]:
    """Run it; whatever a test did to its servers, they are gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="test-standby-", dir=memory() or None) as folder, ExitStack() as running:
        primary = start_postgres(Path(folder) / "primary", settings=SETTINGS)
        running.callback(primary.kill)
        copies = []
        for number in range(standbys):
            standby = start_standby(primary, Path(folder) / f"standby-{number}", settings=SETTINGS)
            running.callback(standby.kill)  # frozen or not
            copies.append(Node(standby))
        yield Cluster(Node(primary), copies)


async def _value(url: str, statement: str, *parameters: object) -> Any:
    connection = await asyncpg.connect(url, timeout=10)
    try:
        return await connection.fetchval(statement, *parameters)
    finally:
        await connection.close()
