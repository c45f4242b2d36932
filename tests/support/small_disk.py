"""A PostgreSQL with a disk of its own that is soon full: for real where the machine permits it, else in words."""

import contextlib
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import asyncpg
from attrs import frozen

from support import servers

SIZE = "4m"
_IN_CONTAINER = "/small"
_UID_IN_CONTAINER = 999  # `postgres` in the official image


@frozen
class SmallDisk:
    """A server, and where its small disk is; no path where the machine lets nobody mount one."""

    address: str
    path: str | None


@contextmanager
def small_disk() -> Iterator[SmallDisk]:
    if servers.kind() == "containers":
        options = f"size={SIZE},uid={_UID_IN_CONTAINER},gid={_UID_IN_CONTAINER},mode=0700"
        with servers.postgres(tmpfs={_IN_CONTAINER: options}) as server:
            yield SmallDisk(server.address, _IN_CONTAINER)
        return
    with tempfile.TemporaryDirectory(prefix="test-postgres-", dir=servers.memory() or None) as folder:
        embedded = servers.start_embedded_postgres(Path(folder) / "data", servers.POSTGRES_SETTINGS)
        uid = (Path(folder) / "data" / "cluster").stat().st_uid
        mount = Path(tempfile.mkdtemp(prefix="test-small-disk-"))
        options = f"size={SIZE},uid={uid},mode=0700"
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", mount], check=False).returncode == 0
        try:
            yield SmallDisk(embedded.dsn, str(mount) if mounted else None)
        finally:
            embedded.stop()
            if mounted:
                subprocess.run(["umount", mount], check=True)
            mount.rmdir()


@asynccontextmanager
async def full(disk: SmallDisk, database_url: str) -> AsyncIterator[None]:
    """Put the outbox on the small disk and fill it up; on the way out there is room again."""
    connection = await asyncpg.connect(database_url)
    try:
        if disk.path is None:
            await connection.execute("""
                CREATE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS
                $$ BEGIN RAISE EXCEPTION 'No space left on device' USING ERRCODE = '53100'; END $$;
                CREATE TRIGGER no_room BEFORE INSERT ON outbox FOR EACH ROW EXECUTE FUNCTION no_room();
            """)
            yield
            await connection.execute("DROP TRIGGER no_room ON outbox")
            return
        await connection.execute(f"CREATE TABLESPACE small LOCATION '{disk.path}'")
        await connection.execute("ALTER TABLE outbox SET TABLESPACE small")
        await connection.execute("CREATE TABLE filler (x text STORAGE PLAIN) TABLESPACE small")
        for size in (7000, 100):
            with contextlib.suppress(asyncpg.DiskFullError):
                while True:
                    await connection.execute("INSERT INTO filler VALUES (repeat('x', $1))", size)
        yield
        await connection.execute("DROP TABLE filler")
    finally:
        await connection.close()
