"""Failover and switchover by a real Patroni, under a flow of webhooks."""

import asyncio
import random
import tempfile
import time
from pathlib import Path

import pytest

from adapters.postgres.connection.target import read_target
from adapters.postgres.engine import create_engine
from adapters.postgres.migrate import migrate
from integration.faults.test_chaos import differences, users_of
from support import processes, servers
from support.failover import unexpected
from support.ledger import faults, read_topic_until
from support.patroni import TTL_S, patroni
from support.senders import Life, Senders
from support.web import SECRET

pytestmark = pytest.mark.patroni

PROMISED_S = 2.0
"""From the promotion until webhooks are taken again (docs/failover.md)."""


@pytest.fixture
def cluster():
    # Not below pytest's folders: only their owner may enter those, and PostgreSQL is not root.
    with tempfile.TemporaryDirectory(prefix="test-patroni-") as folder:
        Path(folder).chmod(0o755)
        with patroni(Path(folder) / "cluster") as running:
            yield running


async def test_webhooks_and_events_survive_a_dead_machine_and_a_switchover(cluster, kafka_address, topic, tmp_path):
    engine = create_engine(read_target(cluster.url), pool_size=1, application_name="tests")
    await migrate(engine)
    await engine.dispose()
    port = servers.free_port()
    users = [f"user_{number}" for number in range(100)]
    senders = Senders(Life(random.Random(3), users), [f"http://127.0.0.1:{port}"], SECRET)
    probe = Senders(Life(random.Random(4), ["user_probe1", "user_probe2"]), senders.urls, SECRET)
    with (
        processes.serve(tmp_path, cluster.url, port) as serve,
        processes.relay(tmp_path, cluster.url, kafka_address, topic) as relay,
    ):
        await senders.until_served()
        load = asyncio.create_task(senders.run(senders=16, pause=lambda: 0.08))
        await asyncio.sleep(2)

        dead = await asyncio.to_thread(cluster.leader)
        began = time.monotonic()
        await asyncio.to_thread(dead.kill)
        await asyncio.to_thread(cluster.leader, other_than=dead)
        promoted = time.monotonic()
        await probe.until_taken()
        back_from_death = time.monotonic() - promoted
        print(
            f"machine dead: promoted after {promoted - began:.1f} s (TTL {TTL_S} s), back {back_from_death:.2f} s later"
        )
        dead.start()
        await asyncio.to_thread(cluster.wait_for_synchronous_standby)

        former = await asyncio.to_thread(cluster.leader)
        began = time.monotonic()
        switching = asyncio.create_task(asyncio.to_thread(cluster.switch_over))
        await asyncio.to_thread(cluster.leader, other_than=former)
        promoted = time.monotonic()
        await probe.until_taken()
        back_from_switch = time.monotonic() - promoted
        await switching
        print(f"switchover: promoted after {promoted - began:.1f} s, back {back_from_switch:.2f} s later")
        await asyncio.to_thread(cluster.wait_for_synchronous_standby)

        senders.stop()
        await load
        acknowledged = [*senders.acknowledged, *probe.acknowledged]
        stored = await users_of(cluster.url, {webhook.user for webhook in acknowledged})
        newest = {user_id: user.version for user_id, user in stored.items()}
        got = await read_topic_until(kafka_address, topic, newest, within=60)

    assert faults(got, newest) == []
    assert differences(stored, got, acknowledged) == []
    assert senders.refused == []
    assert unexpected(serve, relay) == []
    assert max(back_from_death, back_from_switch) < PROMISED_S  # this runs alone
