"""A worker is killed, and its synchronous standby takes its place (`citus_update_node`)."""

import asyncio
import contextlib
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from functools import partial
from pathlib import Path

import asyncpg
import pytest
from attrs import define, field

from adapters.kafka.cloudevents import encode
from adapters.postgres.connection.target import read_target
from adapters.postgres.distribute import distribute_at
from adapters.postgres.engine import create_engine
from adapters.postgres.migrate import migrate
from adapters.postgres.outbox import PostgresOutbox
from adapters.postgres.statements import BY_KEY
from adapters.postgres.user_store import PostgresUserStore
from application.errors import StoreUnavailableError
from application.relay.lanes import LANES
from application.relay.relay_events import RelayEvents
from devkit.servers.ports import free_port
from domain.sync_user import sync_user
from domain.user import UserId
from support.memory import MemoryPublisher
from support.users import snapshot

pytestmark = pytest.mark.citus

USERS = [UserId(f"user_{number}") for number in range(24)]
BACK_WITHIN_S = 30.0
"""After `citus_update_node`; the others go on all the time."""

_SETTINGS = """
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
shared_preload_libraries = 'citus'
wal_level = logical
max_connections = 100
max_prepared_transactions = 100
citus.shard_count = 8
citus.enable_statistics_collection = off
"""


@define
class Server:
    """One PostgreSQL of the cluster, by the programs in `programs`."""

    programs: Path
    data: Path
    port: int = field(factory=free_port)

    @property
    def url(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/drill?sslmode=disable"

    def run(self, program: str, *arguments: str) -> None:
        # PostgreSQL refuses to run as root.
        nobody = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
        subprocess.run(
            [self.programs / program, "-D", self.data, *arguments],
            check=True,
            cwd="/",
            env={"PATH": os.environ["PATH"], "HOME": str(self.data.parent)},  # libpq would read root's certificates
            timeout=120,
            stdout=subprocess.DEVNULL,
            user=nobody and nobody.pw_uid,
            group=nobody and nobody.pw_gid,
            extra_groups=[] if nobody else None,
        )

    def configure(self, lines: str) -> None:
        with (self.data / "postgresql.conf").open("a") as file:
            file.write(f"{lines}\nport = {self.port}\n")

    def start(self) -> None:
        self.run("pg_ctl", "-l", f"{self.data}.log", "-w", "start")

    def follow(self, primary: "Server") -> None:
        """Become its standby; it must be stopped."""
        subprocess.run(["cp", "-a", primary.data, self.data], check=True)
        signal_file = self.data / "standby.signal"
        signal_file.touch()
        os.chown(signal_file, self.data.stat().st_uid, -1)
        self.configure(
            f"primary_conninfo = 'host=127.0.0.1 port={primary.port} user=postgres application_name=standby'"
        )

    def kill(self) -> None:
        os.kill(int((self.data / "postmaster.pid").read_text().splitlines()[0]), signal.SIGKILL)

    async def execute(self, *statements: str, database: str = "drill") -> None:
        connection = await asyncpg.connect(self.url.replace("/drill", f"/{database}"))
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()


@pytest.fixture
async def servers(postgres_address):
    """A coordinator, two workers, and the synchronous standby of the first: the given cluster cannot be given one."""
    connection = await asyncpg.connect(postgres_address)
    programs = Path(await connection.fetchval("SELECT setting FROM pg_config WHERE name = 'BINDIR'"))
    plugins = await connection.fetchval("SELECT current_setting('output_plugin_libraries', true)")
    await connection.close()
    if not (programs / "initdb").exists():
        pytest.fail(f"the cluster's programs are not on this machine: {programs}")
    more = "output_plugin_libraries = 'pgoutput, citus'" if plugins is not None else ""
    folder = Path(tempfile.mkdtemp(prefix="citus-failover-"))
    if os.geteuid() == 0:
        shutil.chown(folder, "nobody")
    started = [Server(programs, folder / name) for name in ("coordinator", "first", "second")]
    standby = Server(programs, folder / "standby")
    try:
        for server in started:
            server.run("initdb", "--username=postgres", "--auth=trust", "--encoding=UTF8", "--no-locale")
            server.configure(f"{_SETTINGS}\n{more}")
            server.start()
            await server.execute("CREATE DATABASE drill", database="postgres")
            await server.execute("CREATE EXTENSION citus")
        coordinator, first, second = started
        await coordinator.execute(
            f"SELECT citus_set_coordinator_host('127.0.0.1', {coordinator.port})",
            *(f"SELECT citus_add_node('127.0.0.1', {worker.port})" for worker in (first, second)),
        )
        first.run("pg_ctl", "-m", "fast", "-w", "stop")
        standby.follow(first)
        first.configure("synchronous_standby_names = 'standby'")
        first.start()
        started.append(standby)
        standby.start()
        yield coordinator, first, standby
    finally:
        for server in started:
            with contextlib.suppress(subprocess.CalledProcessError):  # the one that was killed
                server.run("pg_ctl", "-m", "immediate", "-w", "stop")
        shutil.rmtree(folder)


@pytest.fixture
async def engine(servers):
    target = read_target(servers[0].url)
    migrating = create_engine(target, pool_size=1, application_name="tests", statement_timeout_s=None)
    await migrate(migrating)
    await migrating.dispose()
    async for _ in distribute_at(target):
        pass
    engine = create_engine(target, pool_size=4, application_name="tests", settings=BY_KEY)
    yield engine
    await engine.dispose()


@define
class Flow:
    """Changes of every user, one after the other, and a relay that carries their events."""

    store: PostgresUserStore
    outbox: PostgresOutbox
    publisher: MemoryPublisher = field(factory=MemoryPublisher)
    newest: dict[UserId, int] = field(factory=dict)
    written_at: dict[UserId, float] = field(factory=dict)
    refused: list[UserId] = field(factory=list)
    ending: bool = False
    ended: bool = False

    async def change(self, user: UserId) -> None:
        for at in itertools.count(1000):
            decide = partial(sync_user, snapshot=snapshot(user, at=at, first_name=f"{at}"))
            while True:
                try:
                    await self.store.change(user, decide)
                    break
                except StoreUnavailableError:  # 503: Clerk sends it again
                    self.refused.append(user)
                    await asyncio.sleep(0.2)
            self.newest[user] = at
            self.written_at[user] = time.monotonic()
            if self.ending:
                return
            await asyncio.sleep(0.02)

    async def carry(self) -> None:
        relay, taken = RelayEvents(self.outbox, self.publisher), 1
        while not self.ended or taken:
            taken = 1
            with contextlib.suppress(StoreUnavailableError):
                taken = (await relay(range(LANES), 1000)).taken
            await asyncio.sleep(0.05)


async def test_nothing_acknowledged_is_lost_or_reordered_when_a_workers_standby_takes_its_place(servers, engine):
    coordinator, first, standby = servers
    store = PostgresUserStore(engine, encode, lambda _: None)
    await store.start()
    shards = await store._workers.shards()
    there = {user for user in USERS if shards.place_of(user).address == ("127.0.0.1", first.port)}
    flow = Flow(store, PostgresOutbox(engine))
    changing = asyncio.gather(*map(flow.change, USERS))
    carrying = asyncio.create_task(flow.carry())
    await asyncio.sleep(2)

    first.kill()
    await asyncio.sleep(1)
    await standby.execute("ALTER SYSTEM SET synchronous_standby_names = ''", "SELECT pg_promote()")
    await coordinator.execute(
        f"SELECT citus_update_node(nodeid, '127.0.0.1', {standby.port}) FROM pg_dist_node WHERE nodeport = {first.port}"
    )
    updated = time.monotonic()
    async with asyncio.timeout(BACK_WITHIN_S):
        while min(flow.written_at[user] for user in there) < updated:
            await asyncio.sleep(0.05)
        back_after = time.monotonic() - updated
        while (await store._workers.shards()).place_of(next(iter(there))).address != ("127.0.0.1", standby.port):
            await asyncio.sleep(0.2)  # until it is written to directly
        await asyncio.sleep(1)
    flow.ending = True
    await changing
    flow.ended = True
    await carrying
    sql = await asyncpg.connect(coordinator.url)
    rows = {row["id"]: row for row in await sql.fetch("SELECT id, version, first_name FROM users")}
    await sql.close()
    await store.aclose()
    print(f"back {back_after:.2f} s after citus_update_node; {len(flow.refused)} changes were refused meanwhile")

    assert 0 < len(there) < len(USERS)
    assert set(flow.refused) <= there
    assert {user: rows[user]["first_name"] for user in USERS} == {user: f"{at}" for user, at in flow.newest.items()}
    assert flow.publisher.versions() == {user: list(range(1, rows[user]["version"] + 1)) for user in USERS}
