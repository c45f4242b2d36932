"""A network that delays, cuts and forgets connections, between a relay and its servers."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from devkit.servers.kafka import start_kafka
from integration.conftest import create_topic
from support import processes, proxy
from support.ledger import faults, read_topic_until
from support.proxy import Proxy

pytestmark = pytest.mark.faults


@pytest.mark.parametrize("fault", ["cut", "half_open", "swallow"])
async def test_a_relay_gets_over_a_broken_connection_to_postgresql(
    start_relay, users, database_url, kafka_address, topic, fault
):
    address = urlsplit(database_url)
    with proxy.proxy(address.hostname, address.port) as between:
        relay = start_relay(url=database_url.replace(f"{address.hostname}:{address.port}", between.address))
        await asyncio.to_thread(relay.wait_for, "lanes_held")
        async with users.changing():
            await asyncio.sleep(0.5)
            getattr(between, fault)()
            if fault == "swallow":
                await asyncio.to_thread(relay.wait_for, "events_waiting")
                between.swallow(False)
            await asyncio.sleep(1)
        got = await read_topic_until(kafka_address, topic, users.newest)

        assert faults(got, users.newest) == []
        assert relay.alive
        assert "Traceback" not in relay.text()
        assert await asyncio.to_thread(relay.stop) == 0


@pytest.mark.parametrize("fault", ["cut", "half_open", "swallow"])
async def test_a_relay_gets_over_a_broken_connection_to_kafka(database_url, users, tmp_path, fault):
    with kafka_behind_a_proxy(tmp_path) as between:
        await create_topic(between.address, "users")
        with processes.relay(tmp_path, database_url, between.address, "users") as relay:
            await asyncio.to_thread(relay.wait_for, "lanes_held")
            async with users.changing():
                await asyncio.sleep(1)
                getattr(between, fault)()
                if fault == "swallow":
                    await asyncio.to_thread(relay.wait_for, "events_waiting")
                    between.swallow(False)
                await asyncio.sleep(1)
            got = await read_topic_until(between.address, "users", users.newest)

            assert faults(got, users.newest) == []
            assert relay.alive
            assert "Traceback" not in relay.text()
            assert await asyncio.to_thread(relay.stop) == 0


@contextmanager
def kafka_behind_a_proxy(folder: Path) -> Iterator[Proxy]:
    """Clients that ask this broker where it is are sent to the proxy."""
    with proxy.proxy("127.0.0.1", 0) as between:
        kafka = start_kafka(folder / "kafka", settings={"advertised.listeners": f"PLAINTEXT://{between.address}"})
        try:
            between.target = ("127.0.0.1", int(kafka.bootstrap_servers.rsplit(":", 1)[1]))
            yield between
        finally:
            kafka.stop()
