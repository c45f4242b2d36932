"""A PostgreSQL primary and its standby, by PostgreSQL's own replication: killed, frozen, promoted, built anew."""

import asyncio
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import psutil
from attrs import define

from devkit.servers import postgres as embedded
from devkit.servers.postgres import EmbeddedPostgres
from support.servers import memory, start_embedded_postgres

SETTINGS = {"max_connections": "200", "log_min_messages": "warning"}
REPLICATED_S = 60.0


@define
class Pair:
    """Two servers at two addresses that stay the same; one of them is the primary."""

    servers: list[EmbeddedPostgres]
    primary: int = 0

    @property
    def leader(self) -> EmbeddedPostgres:
        return self.servers[self.primary]

    @property
    def standby(self) -> EmbeddedPostgres:
        return self.servers[1 - self.primary]

    def url(self, order: Sequence[int] = (0, 1), query: str = "target_session_attrs=read-write") -> str:
        """Return a connection string that names both hosts, in this order."""
        hosts = ",".join(f"127.0.0.1:{self.servers[number].port}" for number in order)
        return f"postgresql://{self._credentials}@{hosts}/postgres?{query}"

    def dsn(self, server: EmbeddedPostgres) -> str:
        """Return the connection string of one server; both have the password of the first."""
        return f"postgresql://{self._credentials}@127.0.0.1:{server.port}/postgres"

    @property
    def _credentials(self) -> str:
        return urlsplit(self.servers[0].dsn).netloc.rpartition("@")[0]

    async def replicate(self, *, synchronous: bool, through: int | None = None) -> None:
        """Build the standby anew from the primary, and return when it has all; `through` is another port to it."""
        source = self.dsn(self.leader)
        if through:
            source = source.replace(f":{self.leader.port}/", f":{through}/")
        await asyncio.to_thread(_copy, source, self.standby)
        await asyncio.to_thread(self.standby.start)
        await self._set_synchronous("*" if synchronous else "")
        wanted = ("sync",) if synchronous else ("async", "potential")
        deadline = time.monotonic() + REPLICATED_S
        while await self._replica_state() not in wanted:
            assert time.monotonic() < deadline, "the standby does not follow"
            await asyncio.sleep(0.05)

    async def caught_up(self) -> None:
        """Wait until the standby has all that the primary has."""
        primary = await asyncpg.connect(self.dsn(self.leader))
        standby = await asyncpg.connect(self.dsn(self.standby))
        try:
            at = await primary.fetchval("SELECT pg_current_wal_lsn()::text")
            async with asyncio.timeout(REPLICATED_S):
                while not await standby.fetchval("SELECT pg_last_wal_replay_lsn() >= $1::text::pg_lsn", at):
                    await asyncio.sleep(0.05)
        finally:
            await primary.close()
            await standby.close()

    async def promote(self) -> None:
        """Make the standby the primary; it asks for no standby of its own until there is one again."""
        connection = await asyncpg.connect(self.dsn(self.standby))
        try:
            assert await connection.fetchval("SELECT pg_promote()")
        finally:
            await connection.close()
        self.primary = 1 - self.primary

    def freeze(self, server: EmbeddedPostgres) -> None:
        """Stop all of its processes: the kernel still accepts connections, and nobody answers."""
        for process in _family(server):
            process.suspend()

    def thaw(self, server: EmbeddedPostgres) -> None:
        for process in _family(server):
            process.resume()

    async def _set_synchronous(self, names: str) -> None:
        connection = await asyncpg.connect(self.dsn(self.leader))
        try:
            await connection.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{names}'")
            await connection.execute("SELECT pg_reload_conf()")
        finally:
            await connection.close()

    async def _replica_state(self) -> str | None:
        connection = await asyncpg.connect(self.dsn(self.leader))
        try:
            state: str | None = await connection.fetchval(
                "SELECT sync_state FROM pg_stat_replication WHERE state = 'streaming'"
                " AND replay_lsn >= pg_current_wal_lsn() - 1024 * 1024"
            )
            return state
        finally:
            await connection.close()


@contextmanager
def pair() -> Iterator[Pair]:
    """Run a primary; `replicate` makes its standby."""
    servers: list[EmbeddedPostgres] = []
    with tempfile.TemporaryDirectory(prefix="test-pair-", dir=memory() or None) as folder:
        try:
            for name in ("a", "b"):
                servers.append(start_embedded_postgres(Path(folder) / name, SETTINGS))  # noqa: PERF401  # stop what has started
            yield Pair(servers)
        finally:
            for server in servers:
                for process in _family(server):
                    with suppress(psutil.NoSuchProcess):  # a backend ends when its client does
                        process.resume()
                server.kill()


def _family(server: EmbeddedPostgres) -> list[psutil.Process]:
    try:
        postmaster = psutil.Process(server.pid)
        return [postmaster, *postmaster.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _copy(source: str, standby: EmbeddedPostgres) -> None:
    standby.kill()
    cluster = standby.data_dir / "cluster"
    owner = cluster.stat()
    shutil.rmtree(cluster)
    subprocess.run(
        [embedded._programs() / "pg_basebackup", "-D", cluster, "-R", "-d", source, "--checkpoint=fast", "--no-sync"],
        check=True,
        capture_output=True,
        timeout=120,
    )
    with (cluster / "postgresql.auto.conf").open("a", encoding="ascii") as file:
        file.write("synchronous_standby_names = ''\n")  # once it is the primary
    for folder, _, files in os.walk(cluster):
        for path in (Path(folder), *(Path(folder, file) for file in files)):
            os.chown(path, owner.st_uid, owner.st_gid)
