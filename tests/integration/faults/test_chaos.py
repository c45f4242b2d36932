"""Webhooks flow while everything under them breaks; in the end nothing is lost and nothing is out of order.

`make chaos` runs it longer. A run is chosen by a seed, which is printed; CHAOS_SEED=… plays it again.
"""

import asyncio
import os
import random
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from adapters.postgres.connection.target import read_target
from adapters.postgres.engine import create_engine
from adapters.postgres.migrate import migrate
from adapters.postgres.user_reader import PostgresUserReader
from application.users.representation import profile_document, tombstone_document
from devkit.servers.kafka import EmbeddedKafka, EmbeddedKafkaCluster, start_kafka, start_kafka_cluster
from devkit.servers.ports import free_port
from domain.user import Tombstone, User, UserId
from entrypoints.config.service_keys import new_service_key
from integration.conftest import create_topic
from integration.observability.conftest import running_collector
from support import proxy, servers, state_ledger
from support.chaos import World, slots
from support.collector import Collector
from support.ledger import Got, faults, read_topic_until
from support.senders import Life, Senders, Webhook
from support.state_ledger import read_states_until
from support.visitors import Visitors
from support.web import SECRET

pytestmark = pytest.mark.faults

__all__ = ["running_collector"]

SECONDS = float(os.environ.get("CHAOS_SECONDS", "10"))
SEED = int(os.environ.get("CHAOS_SEED") or random.SystemRandom().randrange(10_000))
USERS = [f"user_{number}" for number in range(30)]
SETTLE_S = 60
"""How long the platform may take, once nothing breaks any more, until all is delivered."""


@asynccontextmanager
async def world(folder: Path, *, brokers: int, **variables: str) -> AsyncIterator[tuple[World, str, list[str]]]:
    """Run PostgreSQL behind a proxy, Kafka (one broker behind a proxy, or a cluster), three relays and two `serve`.

    `variables` are for relays and `serve` alike.
    """
    ports = [free_port(), free_port()]
    with servers.postgres() as postgres, proxy.to_url(postgres.address) as (database_proxy, through):
        engine = create_engine(read_target(postgres.address), pool_size=1, application_name="tests")
        await migrate(engine)
        await engine.dispose()
        with proxy.proxy("127.0.0.1", 0) as broker_proxy:
            kafka: EmbeddedKafka | EmbeddedKafkaCluster
            if brokers == 1:
                advertised = {"advertised.listeners": f"PLAINTEXT://{broker_proxy.address}"}
                kafka = broker = await asyncio.to_thread(start_kafka, folder / "kafka", settings=advertised)
                broker_proxy.target = ("127.0.0.1", int(broker.bootstrap_servers.rsplit(":", 1)[1]))
                members, bootstrap = [broker], broker_proxy.address
            else:
                kafka = cluster = await asyncio.to_thread(start_kafka_cluster, folder / "kafka", brokers)
                members, bootstrap = list(cluster.brokers), cluster.bootstrap_servers
            try:
                await create_topic(bootstrap, "users", partitions=3, replicas=brokers)
                await create_topic(bootstrap, "states", partitions=3, replicas=brokers, cleanup_policy="compact")
                topics = {"topic": "users", "state_topic": "states"}
                running = slots(folder, through, bootstrap, **topics, relays=3, ports=ports, **variables)
                async with running as (relays, serves):
                    made = World(
                        postgres.address,
                        postgres,
                        database_proxy,
                        members,
                        broker_proxy if brokers == 1 else None,
                        relays,
                        serves,
                    )
                    yield made, bootstrap, [f"http://127.0.0.1:{port}" for port in ports]
            finally:
                await asyncio.to_thread(kafka.stop)


@pytest.mark.parametrize("brokers", [1, 3])
async def test_nothing_is_lost_or_reordered_or_given_away_whatever_breaks(tmp_path, brokers, collector, written):
    print(f"CHAOS_SEED={SEED}")
    life = Life(random.Random(f"{SEED} life"), USERS)
    service_key, configured = new_service_key("chaos")
    variables = {
        "CLERK_SECRET_KEY": "sk_test_ofTheChaosRun",
        "CLERK_API_URL": "http://127.0.0.1:1",  # nobody there: one more thing that is broken
        "AUTH_SERVICE_KEYS": str(configured),
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_EXPORTER_OTLP_HEADERS": "api-key=ofTheCollector",
        "OTEL_BSP_SCHEDULE_DELAY": "200",  # ms: whoever is killed has sent most of them
    }
    async with world(tmp_path, brokers=brokers, **variables) as (made, bootstrap, urls):
        senders, visitors = Senders(life, urls, SECRET), Visitors(urls, USERS, service_key)
        await senders.until_served()
        sending = asyncio.create_task(senders.run(senders=4, pause=lambda: 0.02))
        visiting = asyncio.create_task(visitors.run(random.Random(f"{SEED} visitors")))
        until = asyncio.get_running_loop().time() + SECONDS
        for_processes, for_servers = random.Random(f"{SEED} processes"), random.Random(f"{SEED} servers")
        async with asyncio.TaskGroup() as injectors:
            injectors.create_task(made.inject(made.faults_of_processes(for_processes), for_processes, until))
            injectors.create_task(made.inject(made.faults_of_servers(for_servers), for_servers, until))
        senders.stop()
        visitors.stop()
        async with asyncio.timeout(SETTLE_S):
            await asyncio.gather(sending, visiting)
        stored = await users_of(made.database_url, {webhook.user for webhook in senders.acknowledged})
        newest = {user_id: user.version for user_id, user in stored.items()}
        got = await read_topic_until(bootstrap, "users", newest, within=SETTLE_S)
        states = await read_states_until(bootstrap, "states", stored, within=SETTLE_S)
        wrong = [*faults(got, newest), *differences(stored, got, senders.acknowledged)]
        wrong += state_ledger.faults(states, stored)
        wrong += state_ledger.faults(await state_ledger.read_states(bootstrap, "states"), stored)
        story = f"CHAOS_SEED={SEED}\n" + "\n".join(made.log)

        assert made.died_by_themselves() == [], story
        assert wrong == [], story
        assert senders.refused == [], story
        assert made.tracebacks() == [], story
        # What is written must have had the chance to give something away; `written` searches it.
        written |= await asyncio.to_thread(all_but_output, made, tmp_path, collector, urls)
        assert {200, 401} <= visitors.statuses.keys(), story
        for stream, told in {"PostgreSQL": "LOG", "traces": "INSERT INTO", urls[0]: "auth_webhooks_total"}.items():
            assert told in written[stream], stream
        print(
            f"{len(senders.acknowledged)} webhooks acknowledged after {senders.attempts} attempts "
            f"({senders.retried}); {sum(newest.values())} versions of {len(newest)} users, {len(got)} records, "
            f"{len(states)} states; "
            f"{dict(Counter(line.split('  ')[-1] for line in made.log))}"
        )


def all_but_output(made: World, folder: Path, collector: Collector, urls: Sequence[str]) -> dict[str, str]:
    """Return what the servers below have logged, and what went to a collector and to Prometheus."""
    of_kafka = {str(file): file.read_text(errors="replace") for file in (folder / "kafka").rglob("server.log*")}
    traces = collector.text
    metrics = {url: httpx.get(f"{url}/metrics", timeout=20).text for url in urls}
    return {"PostgreSQL": made.postgres.log(), "traces": traces, **of_kafka, **metrics}


async def users_of(database_url: str, ids: set[str]) -> dict[str, User | Tombstone]:
    engine = create_engine(read_target(database_url), pool_size=2, application_name="tests")
    reader = PostgresUserReader(engine)
    try:
        rows = {user_id: await reader.get(UserId(user_id)) for user_id in ids}
    finally:
        await engine.dispose()
    return {user_id: user for user_id, user in rows.items() if user is not None}


def differences(stored: dict[str, User | Tombstone], got: Sequence[Got], acknowledged: Sequence[Webhook]) -> list[str]:
    """Compare what was acknowledged with the table, and the table with the last event of each user."""
    found = []
    last: dict[str, Got] = {}
    for record in got:
        if record.key not in last or record.version > last[record.key].version:
            last[record.key] = record
    for user_id in {webhook.user for webhook in acknowledged}:
        newest = max((webhook for webhook in acknowledged if webhook.user == user_id), key=lambda webhook: webhook.at)
        user = stored.get(user_id)
        if user is None:
            found.append(f"{user_id}: acknowledged, and not in the table")
            continue
        if state(user) != (None if newest.deleted else {"n": newest.at}):
            found.append(f"{user_id}: the table has {state(user)}, the newest webhook is {newest}")
        if user_id in last and last[user_id].data["user"] != document(user):
            found.append(f"{user_id}: the last event, version {last[user_id].version}, is not what the table has")
    traces = {trace_of(webhook.traceparent) for webhook in acknowledged}
    return found + [f"{record.key}: unknown trace" for record in got if trace_of(record.traceparent) not in traces]


def trace_of(traceparent: str | None) -> str | None:
    """Return the trace's id; the span is the service's own."""
    return traceparent and traceparent.split("-")[1]


def state(user: User | Tombstone) -> object:
    return user.profile.public_metadata if isinstance(user, User) else None


def document(user: User | Tombstone) -> object:
    return profile_document(user) if isinstance(user, User) else tombstone_document(user)
