"""`migrate --distribute` on a real cluster, in a database of its own."""

import asyncio
import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Awaitable
from functools import partial
from pathlib import Path

import asyncpg
import pytest
from attrs import define, field

from adapters.kafka.cloudevents import encode
from adapters.postgres.connection.target import read_target
from adapters.postgres.distribute import COPIED_AT_ONCE
from adapters.postgres.engine import create_engine
from adapters.postgres.migrate import migrate
from adapters.postgres.outbox import PostgresOutbox
from adapters.postgres.statements import BY_KEY
from adapters.postgres.tables import DISTRIBUTED_BY
from adapters.postgres.user_store import PostgresUserStore
from application.errors import StoreUnavailableError
from application.relay.lanes import LANES
from application.relay.relay_events import RelayEvents
from domain.sync_user import sync_user
from domain.user import UserId
from integration.conftest import in_database
from support.citus import nodes
from support.memory import MemoryPublisher
from support.users import snapshot

pytestmark = pytest.mark.citus

AUTH_SERVICE = Path(sys.executable).with_name("auth-service")
OLD = COPIED_AT_ONCE * 4
OLD_USERS = f"""
    INSERT INTO users (id, version, revision, email_verified, banned, locked, emails, public_metadata, created_at,
                       updated_at, source_updated_at, source_timestamp, source_digest)
    SELECT 'user_old' || n, 1, 1, false, false, false, '[]', '{{}}', now(), now(), 1, 1, ''
    FROM generate_series(1, {OLD}) n
"""
NAME = f"auth_test_distribute_{os.getpid()}"


@pytest.fixture
async def fresh(postgres_address):
    """The URL of a migrated database on every server of the cluster, of which nothing is distributed."""
    coordinator = await asyncpg.connect(postgres_address)
    members = await coordinator.fetch("SELECT nodename, nodeport FROM pg_dist_node ORDER BY groupid")
    urls = await nodes(postgres_address)
    for url in urls:
        await _execute(url, f"CREATE DATABASE {NAME}")
        await _execute(in_database(url, NAME), "CREATE EXTENSION citus")
    url = in_database(postgres_address, NAME)
    for number, member in enumerate(members):
        add = "citus_set_coordinator_host" if number == 0 else "citus_add_node"
        await _execute(url, f"SELECT {add}('{member['nodename']}', {member['nodeport']})")
    engine = create_engine(read_target(url), pool_size=1, application_name="tests")
    await migrate(engine)
    await engine.dispose()
    yield url
    await coordinator.close()
    for each in urls:
        await _execute(each, f"DROP DATABASE {NAME} WITH (FORCE)")


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


async def run(folder, url, *arguments):
    return await asyncio.to_thread(
        subprocess.run,
        [AUTH_SERVICE, *arguments],
        env={"PATH": os.environ["PATH"], "HOME": str(folder), "DATABASE_URL": url},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@define
class Flow:
    """Changes of users, and a relay that carries their events, until it is told to end."""

    store: PostgresUserStore
    outbox: PostgresOutbox
    publisher: MemoryPublisher = field(factory=MemoryPublisher)
    newest: dict[UserId, int] = field(factory=dict)
    """When the change was made that was acknowledged last."""
    refused: list[str] = field(factory=list)
    slowest_s: float = 0.0
    ending: bool = False
    ended: bool = False
    """No change is under way any more."""

    async def change(self, number: int) -> None:
        """Change some users, old and new, one after the other."""
        at = 1000
        while not self.ending:
            at += 1
            user = UserId(f"user_{'old' if number % 2 else 'new'}{at % 7 + number * 10 + 1}")
            news, began = snapshot(user, at=at, first_name=f"{at}"), time.monotonic()
            while not await self._tried(self.store.change(user, partial(sync_user, snapshot=news))):
                await asyncio.sleep(0.2)  # it is 503, and Clerk sends it again
            self.slowest_s = max(self.slowest_s, time.monotonic() - began)
            self.newest[user] = at
            await asyncio.sleep(0.05)

    async def carry(self) -> None:
        relay, taken = RelayEvents(self.outbox, self.publisher), 1
        while not self.ended or taken:
            taken = 1
            with contextlib.suppress(StoreUnavailableError):
                taken = (await relay(range(LANES), 1000)).taken
            await asyncio.sleep(0.05)

    async def _tried(self, change: Awaitable[object]) -> bool:
        try:
            await change
        except StoreUnavailableError as error:
            self.refused.append(str(error.failure))
            return False
        return True


async def test_users_are_written_and_relayed_while_their_tables_are_distributed(fresh, tmp_path):
    await _execute(fresh, OLD_USERS)
    engine = create_engine(read_target(fresh), pool_size=4, application_name="tests", settings=BY_KEY)
    store = PostgresUserStore(engine, encode, lambda _: None)
    await store.start()
    flow = Flow(store, PostgresOutbox(engine))
    flowing = asyncio.gather(*(flow.change(number) for number in range(6)))
    carrying = asyncio.create_task(flow.carry())
    await asyncio.sleep(1)
    began = time.monotonic()
    first = await run(tmp_path, fresh, "migrate", "--distribute", "--yes")
    took = time.monotonic() - began
    await asyncio.sleep(1)
    again = await run(tmp_path, fresh, "migrate", "--distribute", "--yes")
    flow.ending = True
    await flowing
    flow.ended = True
    await carrying
    sql = await asyncpg.connect(fresh)
    rows = {row["id"]: row for row in await sql.fetch("SELECT id, version, first_name FROM users")}
    servers = await sql.fetchval(
        "SELECT count(DISTINCT groupid) FROM pg_dist_placement JOIN pg_dist_shard USING (shardid)"
        " WHERE logicalrelid = 'users'::regclass"
    )
    await sql.close()
    found = await run(tmp_path, fresh, "doctor", "--json")
    await store.aclose()
    await engine.dispose()
    print(f"{took:.1f} s; the slowest change took {flow.slowest_s:.2f} s; refused meanwhile: {flow.refused}")

    assert (first.returncode, first.stderr) == (0, "")
    assert [line for line in first.stdout.splitlines() if "distributed" in line] == [
        f"{table} is distributed." for table in DISTRIBUTED_BY
    ]
    assert "Distributed already." in again.stdout
    assert servers > 1
    assert len([user for user in rows if user.startswith("user_old")]) == OLD
    assert {user: rows[user]["first_name"] for user in flow.newest} == {
        user: str(at) for user, at in flow.newest.items()
    }
    assert flow.publisher.versions() == {
        user: list(range(2 if user.startswith("user_old") else 1, rows[user]["version"] + 1)) for user in flow.newest
    }
    assert "by user" in found.stdout


async def test_tables_that_are_distributed_otherwise_are_left_as_they_are(fresh, tmp_path):
    await _execute(fresh, "SELECT create_distributed_table('outbox', 'key', colocate_with => 'none')")
    await _execute(fresh, "SELECT create_reference_table('users')")

    done = await run(tmp_path, fresh, "migrate", "--distribute", "--yes")
    found = await run(tmp_path, fresh, "doctor", "--json")

    assert done.returncode == 69
    assert "users by nothing, not by id" in done.stderr
    assert "nothing was changed" in done.stderr
    assert "undistribute_table()" in found.stdout
