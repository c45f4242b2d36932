"""A flow of webhooks over a Citus cluster, while processes are killed and connections are cut (make test-citus)."""

import asyncio
import os
import random
from pathlib import Path

import asyncpg
import pytest
from attrs import evolve

from adapters.postgres.citus import WRITER
from adapters.postgres.connection.target import read_target
from adapters.postgres.doctor import examine_database
from adapters.postgres.engine import create_engine
from adapters.postgres.health import check_database
from adapters.postgres.migrate import migrate
from adapters.postgres.replica import PostgresReplicas, judged
from adapters.postgres.tables import DISTRIBUTED_BY
from application.doctor.database import database_findings
from application.errors import StoreUnavailableError
from devkit.servers.ports import free_port
from integration.conftest import create_topic
from integration.faults.test_chaos import differences, users_of
from support import proxy, state_ledger
from support.chaos import World, slots
from support.ledger import faults, read_topic_until
from support.senders import Life, Senders
from support.state_ledger import read_states_until
from support.web import SECRET

pytestmark = pytest.mark.citus

SECONDS = float(os.environ.get("CHAOS_SECONDS", "15"))
SEED = int(os.environ.get("CHAOS_SEED") or random.SystemRandom().randrange(10_000))
SETTLE_S = 90
USERS = [f"user_{number}" for number in range(30)]

_END_SESSIONS = """
    SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database() AND {}
"""


@pytest.fixture
async def sql(database_url):
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


async def test_the_tables_of_users_are_distributed_by_user_and_colocated(sql):
    found = await sql.fetch(
        "SELECT logicalrelid::text AS name, column_to_column_name(logicalrelid, partkey) AS key, colocationid AS where"
        " FROM pg_dist_partition WHERE logicalrelid::text = ANY ($1)",
        [*DISTRIBUTED_BY],
    )

    assert {row["name"]: row["key"] for row in found} == DISTRIBUTED_BY
    assert len({row["where"] for row in found}) == 1


async def test_a_standby_of_the_coordinator_would_not_be_read_because_no_user_is_there(database_url):
    engine = create_engine(read_target(database_url), pool_size=1, application_name="tests")
    replicas = PostgresReplicas(read_target(database_url), engine)
    [address] = replicas._replicas

    state = await replicas._state_of(address)
    await replicas.aclose()
    await engine.dispose()

    failure = judged(evolve(state, follows=True), (state.cluster, state.timeline))
    assert str(failure) == "PostgreSQL replica: configuration refused (of a Citus coordinator, which has no users)"


async def test_without_this_releases_functions_serve_is_not_ready_and_doctor_and_migrate_know_why(database_url, sql):
    engine = create_engine(read_target(database_url), pool_size=1, application_name="tests")
    await sql.execute(f"DROP FUNCTION {WRITER}")
    with pytest.raises(StoreUnavailableError, match=WRITER):
        await check_database(engine)
    found = [each.says for each in database_findings(await examine_database(engine)) if each.check == "distribution"]
    await migrate(engine)
    await check_database(engine)
    await engine.dispose()

    assert found == ["the functions of this release are missing: without them writes take five times as long"]


async def test_nothing_is_lost_or_reordered_while_processes_die_and_connections_break(
    database_url, kafka_address, topic, tmp_path
):
    print(f"CHAOS_SEED={SEED}")
    states = f"{topic}-states"
    await create_topic(kafka_address, states, cleanup_policy="compact")
    ports = [free_port(), free_port()]
    urls = [f"http://127.0.0.1:{port}" for port in ports]
    dice = random.Random(SEED)
    with proxy.to_url(database_url) as (between, through):
        running = slots(Path(tmp_path), through, kafka_address, topic, state_topic=states, relays=2, ports=ports)
        async with running as (relays, serves):
            world = World(database_url, None, between, [], None, relays, serves)
            senders = Senders(Life(random.Random(f"{SEED} life"), USERS), urls, SECRET)
            await senders.until_served()
            sending = asyncio.create_task(senders.run(senders=4, pause=lambda: 0.02))
            breaks = {
                "end the coordinator's sessions": lambda: end_sessions(database_url, workers=False),
                "end the workers' sessions": lambda: end_sessions(database_url, workers=True),
                "cut": lambda: asyncio.to_thread(between.cut),
            }
            until = asyncio.get_running_loop().time() + SECONDS
            await world.inject({**world.faults_of_processes(dice), **breaks}, dice, until)
            senders.stop()
            async with asyncio.timeout(SETTLE_S):
                await sending
            stored = await users_of(database_url, {webhook.user for webhook in senders.acknowledged})
            newest = {user_id: user.version for user_id, user in stored.items()}
            got = await read_topic_until(kafka_address, topic, newest, within=SETTLE_S)
            seen = await read_states_until(kafka_address, states, stored, within=SETTLE_S)
            story = f"CHAOS_SEED={SEED}\n" + "\n".join(world.log)

            assert world.died_by_themselves() == [], story
            assert [*faults(got, newest), *differences(stored, got, senders.acknowledged)] == [], story
            assert state_ledger.faults(seen, stored) == [], story
            assert senders.refused == [], story
            assert world.tracebacks() == [], story
            print(
                f"{len(senders.acknowledged)} webhooks acknowledged after {senders.attempts} attempts"
                f" ({senders.retried}); {sum(newest.values())} versions of {len(newest)} users, {len(got)} records"
            )


async def end_sessions(database_url: str, *, workers: bool) -> None:
    connection = await asyncpg.connect(database_url)
    try:
        if workers:
            ours = "application_name LIKE 'citus_internal%' AND pid <> pg_backend_pid()"
            await connection.fetch("SELECT run_command_on_workers($1)", _END_SESSIONS.format(ours))
        else:
            await connection.execute(_END_SESSIONS.format("application_name LIKE 'auth-service%'"))
    finally:
        await connection.close()
