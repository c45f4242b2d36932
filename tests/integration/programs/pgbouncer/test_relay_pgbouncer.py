"""Everything through PgBouncer in transaction mode: no session, no named statement, another server each time."""

import asyncio
import random
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

import asyncpg
import pytest

from adapters.kafka.cloudevents import encode
from adapters.postgres.connection.target import read_target
from adapters.postgres.engine import create_engine
from adapters.postgres.notifier import NotificationListener
from adapters.postgres.state_fill import PostgresStateFill
from application.errors import StoreUnavailableError
from application.relay.lanes import LANES
from devkit.servers.ports import free_port
from integration.postgres.test_relay_after_failover import staged
from support import processes
from support.ledger import faults, read_topic_until
from support.pgbouncer import IGNORING, pgbouncer
from support.proxy import proxy
from support.replication import pair
from support.senders import Life, Senders
from support.web import SECRET

pytestmark = pytest.mark.programs

WEBHOOKS = 500


@pytest.mark.parametrize(
    ("flag", "settings"), [("?pgbouncer=true", {}), ("", {}), ("", IGNORING)], ids=["said", "refuses", "ignores"]
)
async def test_serve_and_relays_behind_a_transaction_pooler_lose_reorder_and_refuse_nothing(
    start_relay, database_url, kafka_address, topic, tmp_path, flag, settings
):
    port = free_port()
    life = Life(random.Random(3), [f"user_{number}" for number in range(20)])
    senders = Senders(life, [f"http://127.0.0.1:{port}"], SECRET)
    with (
        pgbouncer(database_url, **settings) as pooled,
        processes.serve(tmp_path, f"{pooled}{flag}", port) as serve,
    ):
        relays = [start_relay(url=f"{pooled}{flag}") for _ in range(2)]
        for relay in relays:
            await asyncio.to_thread(relay.wait_for, "lanes_held")
        await senders.until_served()

        async with asyncio.TaskGroup() as group, asyncio.timeout(120):
            group.create_task(senders.run(senders=16))
            while len(senders.acknowledged) < WEBHOOKS and not senders.refused:
                await asyncio.sleep(0.05)
            senders.stop()
        connection = await asyncpg.connect(database_url)
        newest = dict(await connection.fetch("SELECT id, version FROM users"))
        await connection.close()
        got = await read_topic_until(kafka_address, topic, newest)

        said = "".join(process.text() for process in (serve, *relays))
        assert (senders.retried, senders.refused) == ({}, []), said
        assert faults(got, newest) == []
        assert "prepared statement" not in said
        assert "Traceback" not in said
        assert not any(relay.events("events_waiting") for relay in relays)
        for process in (serve, *relays):
            assert await asyncio.to_thread(process.stop) == 0


async def test_nobody_listens_through_a_transaction_pooler(database_url):
    woken: list[str] = []
    with pgbouncer(database_url) as pooled:
        listeners = [
            NotificationListener(read_target(pooled), lambda _: woken.append("pooled")),
            NotificationListener(read_target(f"{pooled}?pgbouncer=true"), lambda _: woken.append("pooled")),
            NotificationListener(read_target(database_url), lambda _: woken.append("direct")),
        ]
        for listener in listeners:
            await listener.start()
        async with asyncio.timeout(60):
            while "direct" not in woken:
                await asyncio.sleep(0.05)
        await asyncio.sleep(0.5)
        for listener in listeners:
            await listener.aclose()

    assert set(woken) == {"direct"}


@asynccontextmanager
async def staged_behind_a_pooler():
    """A stage of which the relay reaches the primary through a pooler, that pooler's URL, and what fails over."""
    with (
        pair() as both,
        proxy("127.0.0.1", both.leader.port) as to_standby,
        proxy("127.0.0.1", both.leader.port) as to_primary,
        pgbouncer(both.dsn(both.leader).replace(f":{both.leader.port}/", f":{to_primary.port}/")) as pooled,
    ):

        async def fail_over():
            both.leader.kill()
            await both.promote()
            to_primary.target = ("127.0.0.1", both.leader.port)

        url = f"{pooled}?pgbouncer=true"
        async with staged(both, to_standby, url) as stage:
            yield stage, url, fail_over


async def test_a_failover_that_lost_commits_and_that_the_pooler_hides_leaves_the_state_topic_right():
    async with staged_behind_a_pooler() as (stage, _, fail_over):
        await stage.users.change("user_0")
        await stage.failover.lose_commits_from_here()
        await stage.users.change("user_0")
        await stage.run_round(range(LANES), 1)  # claims the lanes, and version 1 was overtaken: both are lost
        written = list(stage.states())
        await fail_over()
        await stage.until_empty()  # nothing is raised
        writers = await stage.run_round.lanes.writers(range(LANES), but="the next one")
        writer = await stage.publisher.state.writer()

    assert (written, set(stage.states()), writers) == ([], {("user_0", 1)}, {writer})


async def test_a_fill_puts_no_user_whom_a_failover_that_the_pooler_hides_lost_after_the_user_was_read():
    async with staged_behind_a_pooler() as (stage, url, fail_over):

        def encode_after_a_failover(event, traceparent=None):
            with ThreadPoolExecutor() as meanwhile:
                meanwhile.submit(asyncio.run, fail_over()).result()
            return encode(event, traceparent)

        await stage.users.change("user_0")
        await stage.failover.lose_commits_from_here()
        await stage.users.change("user_0")
        engine = create_engine(read_target(url), application_name="tests")
        fill = PostgresStateFill(engine, encode_after_a_failover)

        with pytest.raises(StoreUnavailableError):
            await fill.put(None, 10)
        await engine.dispose()
        await stage.users.change("user_0")  # the same version with another content
        await stage.until_empty()

    assert stage.states()[-1] == ("user_0", 2)
