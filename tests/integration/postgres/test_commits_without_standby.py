"""A primary that crashed and is back shows commits that no standby has: nobody acknowledges or publishes them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial

import asyncpg
import pytest
from attrs import frozen

from adapters.kafka.cloudevents import encode
from adapters.postgres.connection.target import read_target
from adapters.postgres.engine import create_engine
from adapters.postgres.migrate import migrate
from adapters.postgres.outbox import PostgresOutbox
from adapters.postgres.session_store import PostgresSessionStore
from adapters.postgres.user_reader import PostgresUserReader
from adapters.postgres.user_store import PostgresUserStore
from application.errors import StoreUnavailableError
from application.relay.lanes import LANES
from devkit.servers.postgres import start_postgres
from domain.decision import Outcome
from domain.revoke_session import revoke_session
from domain.session import RevokedSession, SessionId
from domain.sync_user import sync_user
from support.users import USER, snapshot

SESSION = RevokedSession(id=SessionId("sess_1"), user_id=USER, revoked_at=1_700_000_000_000)
SHORT_S = 0.5


@frozen
class Process:
    """What a process of the service has: its own connections, which it makes when they are needed."""

    store: PostgresUserStore
    sessions: PostgresSessionStore
    outbox: PostgresOutbox
    reader: PostgresUserReader

    async def sync(self) -> Outcome:
        return (await self.store.change(USER, partial(sync_user, snapshot=snapshot()))).outcome

    async def revoke(self) -> Outcome:
        return (await self.sessions.change(USER, SESSION.id, partial(revoke_session, news=SESSION))).outcome

    async def published(self) -> list[str]:
        return [item.message.type for item in await self.outbox.oldest(range(2 * LANES), 10)]


@asynccontextmanager
async def process(url: str, *, start: bool = False) -> AsyncIterator[Process]:
    engine = create_engine(read_target(url), pool_size=1, application_name="tests", statement_timeout_s=SHORT_S)
    if start:
        await migrate(engine)
    made = Process(
        PostgresUserStore(engine, encode, lambda _: None),
        PostgresSessionStore(engine, encode, lambda _: None),
        PostgresOutbox(engine),
        PostgresUserReader(engine),
    )
    await made.store.start()
    await made.sessions.start()
    yield made
    await made.sessions.aclose()
    await made.store.aclose()
    await engine.dispose()


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    server = start_postgres(tmp_path_factory.mktemp("server") / "data")
    yield server.dsn
    server.kill()


@pytest.fixture
async def wait_for_standby(url) -> AsyncIterator[Callable[[str], Awaitable[None]]]:
    """Have commits from now on wait for a standby of this name, or for none."""
    admin = await asyncpg.connect(url)

    async def wait_for(name: str) -> None:
        await admin.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{name}'")
        await admin.execute("SELECT pg_reload_conf()")
        # The checkpointer tells the other processes, when it comes to it.
        while await a_commit_waits() != bool(name):
            pass

    async def a_commit_waits() -> bool:
        probe = await asyncpg.connect(url)
        commit = asyncio.create_task(probe.execute("SELECT pg_logical_emit_message(true, 'tests', '')"))
        try:
            while not commit.done():
                event = await admin.fetchval(
                    "SELECT wait_event FROM pg_stat_activity WHERE pid = $1", probe.get_server_pid()
                )
                if event == "SyncRep":
                    return True
            return False
        finally:
            commit.cancel()
            await asyncio.gather(commit, return_exceptions=True)
            probe.terminate()

    yield wait_for
    await wait_for("")
    await admin.close()


async def test_what_is_seen_first_on_a_connection_counts_when_the_standby_has_it(url, wait_for_standby):
    async with process(url, start=True) as before:
        assert (await before.sync(), await before.revoke()) == (Outcome.CREATED, Outcome.REVOKED)
        events = await before.published()
        await wait_for_standby("nobody")
        # What it knew was committed while no standby was needed; a relay goes on with what waits.
        assert (await before.sync(), await before.published()) == (Outcome.UNCHANGED, events)

        for attempt in (Process.sync, Process.revoke, Process.published):
            async with process(url) as after:
                with pytest.raises(StoreUnavailableError):
                    await attempt(after)
                assert (await after.reader.get(USER)) is not None

        await wait_for_standby("")
        async with process(url) as after:
            assert (await after.sync(), await after.revoke()) == (Outcome.UNCHANGED, Outcome.UNCHANGED)
            assert await after.published() == events


async def test_through_a_pooler_which_hides_a_restart_every_transaction_waits(url, wait_for_standby):
    async with process(f"{url}?pgbouncer=true", start=True) as pooled:
        await pooled.sync()
        await pooled.revoke()
        events = await pooled.published()
        assert "anomalyze.user.created.v1" in events
        await wait_for_standby("nobody")

        for attempt in (Process.sync, Process.revoke, Process.published):
            with pytest.raises(StoreUnavailableError):
                await attempt(pooled)
        assert (await pooled.reader.get(USER)) is not None

        await wait_for_standby("")
        assert (await pooled.sync(), await pooled.revoke()) == (Outcome.UNCHANGED, Outcome.UNCHANGED)
        assert await pooled.published() == events
