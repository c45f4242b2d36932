"""A consumer that read version n and asks for it at once is never answered older, whatever the replica does."""

import asyncio
import itertools
import json
import random
from collections.abc import Iterator

import asyncpg
import httpx
import pytest
from aiokafka import AIOKafkaConsumer

from adapters.postgres.connection.target import read_target
from adapters.postgres.engine import create_engine
from adapters.postgres.migrate import migrate
from devkit.fake_clerk.samples import sample_user
from entrypoints.config.service_keys import new_service_key
from support import http_process, processes
from support.standby import Cluster, Node, cluster
from support.web import bearer, event, signed

KEY, CONFIGURED = new_service_key("consumer")
USERS = [f"user_reader{number}" for number in range(20)]


@pytest.fixture(scope="module")
def servers() -> Iterator[Cluster]:
    with cluster() as running:
        yield running


@pytest.mark.parametrize("tries", [600, pytest.param(10_000, marks=pytest.mark.faults)])
async def test_a_consumer_is_never_answered_older_than_what_it_has_read(servers, kafka_address, topic, tmp_path, tries):
    engine = create_engine(read_target(servers.primary.url), pool_size=1, application_name="tests")
    await migrate(engine)
    await engine.dispose()
    served = http_process.start(
        DATABASE_URL=servers.primary.url,
        DATABASE_REPLICA_URL=servers.standbys[0].url,
        AUTH_SERVICE_KEYS=str(CONFIGURED),
        LOG_LEVEL="warning",
    )
    try:
        await asyncio.to_thread(http_process.wait_until_it_answers, served)
        with processes.relay(tmp_path, servers.primary.url, kafka_address, topic):
            async with asyncio.timeout(60 + tries / 20):
                older = await ask_for_what_was_read(served.url, servers.standbys[0], kafka_address, topic, tries)
    finally:
        served.stop()

    assert older == []


async def ask_for_what_was_read(url: str, standby: Node, kafka: str, topic: str, tries: int) -> list[str]:
    """Return the answers that were older, or none at all."""
    older: list[str] = []
    client = httpx.AsyncClient(base_url=url, timeout=20)
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=kafka, auto_offset_reset="earliest")
    await consumer.start()
    background = [asyncio.create_task(change_users(client)), asyncio.create_task(pause_now_and_then(standby))]
    try:
        done = 0
        while done < tries or not await were_both_asked(client):
            message = await asyncio.wait_for(consumer.getone(), 30)
            user = json.loads(message.value)["user"]
            service = {"authorization": f"Bearer {KEY}"}
            asked = [  # by four consumers
                (f"/v1/me?min_version={user['version']}", bearer(user["id"])),
                (f"/v1/users/{user['id']}?min_version={user['version']}", service),
            ] * 4
            answers = await asyncio.gather(*(client.get(path, headers=headers) for path, headers in asked))
            done += len(answers)
            older += [
                f"{answer.status_code} {answer.json().get('version')} for {user['version']}"
                for answer in answers
                if answer.status_code != 200 or answer.json()["version"] < user["version"]
            ]
            for task in background:
                if task.done():
                    task.result()
    finally:
        for task in background:
            task.cancel()
        await asyncio.gather(*background, return_exceptions=True)
        await consumer.stop()
        await client.aclose()
        standby.resume_replay()
    return older


async def were_both_asked(client: httpx.AsyncClient) -> bool:
    """Tell whether the replica gave answers, and the primary some that the replica was too old for."""
    lines = (await client.get("/metrics")).text.splitlines()
    counts = [
        float(line.split()[-1])
        for line in lines
        for place in ('place="replica",why=""', 'place="primary",why="below-floor"')
        if f"reads_total{{{place}" in line
    ]
    return len(counts) == 2 and all(counts)


async def change_users(client: httpx.AsyncClient) -> None:
    for at, user_id in zip(itertools.count(1_700_000_000_000), itertools.cycle(USERS), strict=False):
        body = event("user.updated", sample_user(user_id, now_ms=at, first_name=f"Ada {at}"), at=at)
        (await client.post("/webhooks/clerk", content=body, headers=signed(body))).raise_for_status()
        await asyncio.sleep(0.02)  # slower than the consumer, which otherwise reads what was replayed long ago


async def pause_now_and_then(standby: Node) -> None:
    moments = random.Random(7)
    connection = await asyncpg.connect(standby.url)
    try:
        while True:
            for do in ("pause", "resume"):
                await asyncio.sleep(moments.uniform(0.1, 0.8))
                await connection.execute(f"SELECT pg_wal_replay_{do}()")
    finally:
        await connection.close()
