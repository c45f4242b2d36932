"""The profile `three-brokers`: one of them dies under load, and no event is lost."""

import asyncio

import pytest

from support.compose import ROOT, Stack, stack
from support.load import Load

pytestmark = pytest.mark.containers

SETTINGS = dict(
    line.split("=", 1)
    for line in (ROOT / "deploy/compose/three-brokers.env").read_text().splitlines()
    if not line.startswith("#")
)
DESCRIBE = "/opt/kafka/bin/kafka-topics.sh --bootstrap-server=kafka-3:9092 --describe --topic=auth.user.events.v1"


async def test_one_of_three_brokers_dies_under_load_and_no_event_is_lost():
    with stack(**SETTINGS) as compose:
        described = compose.compose("exec", "-T", "kafka-3", *DESCRIBE.split())
        secret = compose.compose("exec", "-T", "serve", "cat", "var/dev/webhook-secret").strip()
        load = Load(compose.url, secret)
        [first] = compose.containers("kafka")  # which every client asks first
        async with load.running(4):
            await load.answers(100)
            await asyncio.to_thread(compose.run, "docker", "kill", first["Id"])
            await load.answers(200)
        [dead] = compose.containers("kafka")
        published = await asyncio.to_thread(users_published, compose, len(load.acknowledged))

    assert "ReplicationFactor: 3" in described
    assert "min.insync.replicas=2" in described
    assert not dead["State"]["Running"]
    assert (load.cut, load.refused, load.not_acknowledged) == ([], 0, [])
    assert set(load.acknowledged) <= published


def users_published(compose: Stack, count: int) -> set[str]:
    """Read until there are events of so many users; some may have come twice. If one was lost, this times out."""
    read = count
    while True:
        found = {event["data"]["user"]["id"] for event in compose.events(read)}
        if len(found) >= count:
            return found
        read += count - len(found)
