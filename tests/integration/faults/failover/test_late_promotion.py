"""The primary falls silent, so that connections are half open, and its successor is promoted seconds later.

FAILOVERS=20 does it 20 times; FAILOVER_SEED=… plays a run again.
"""

import asyncio
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack

import pytest
from attrs import frozen

from integration.faults.failover.conftest import deployed
from integration.faults.failover.test_failover import nothing_lost, settled
from support.failover import migrated
from support.proxy import Proxy, proxy
from support.replication import Pair

pytestmark = pytest.mark.faults

FAILOVERS = int(os.environ.get("FAILOVERS", "2"))
LATE_S = (6.0, 8.0)
"""Longer than a statement is waited for: pools have given up the primary while there is no other."""


@frozen
class Network:
    """Between the service and both servers, which reach each other without it."""

    pair: Pair
    links: Sequence[Proxy]

    def url(self, order: Sequence[int]) -> str:
        url = self.pair.url(order)
        for server, link in zip(self.pair.servers, self.links, strict=True):
            url = url.replace(f":{server.port}", f":{link.port}")
        return url

    def lose_the_machine(self) -> None:
        """The primary dies, and nobody is told that the connections have ended."""
        self._to_the_leader().half_open()
        self.pair.leader.kill()

    def cut_off(self) -> None:
        """The primary lives, and nothing arrives: neither on connections that there are nor on new ones."""
        self._to_the_leader().swallow()

    def mend(self) -> None:
        for link in self.links:
            link.swallow(on=False)

    def _to_the_leader(self) -> Proxy:
        return self.links[self.pair.primary]


@pytest.fixture
def network(two_servers: Pair) -> Iterator[Network]:
    with ExitStack() as stack:
        links = [stack.enter_context(proxy("127.0.0.1", server.port)) for server in two_servers.servers]
        yield Network(two_servers, links)


async def test_nothing_is_lost_when_a_primary_falls_silent_and_its_successor_is_promoted_late(
    two_servers, network, tmp_path, kafka_address, topic, drill_on
):
    await migrated(two_servers)
    await two_servers.replicate(synchronous=True)
    with deployed(tmp_path, network.url, kafka_address, topic) as (running, urls):
        drill = drill_on(two_servers, urls)
        await drill.senders.until_served()
        load = asyncio.create_task(drill.load())
        for number in range(FAILOVERS):
            await asyncio.sleep(drill.dice.uniform(0.5, 1.5))
            break_ = (network.cut_off, network.lose_the_machine)[number % 2]
            await drill.fail_over(break_, late_s=drill.dice.uniform(*LATE_S))
            # Nobody has fenced the one that was cut off, and now it can be reached again.
            network.mend()
            await asyncio.sleep(drill.dice.uniform(0.5, 1.5))
            await two_servers.replicate(synchronous=True)  # which ends it
        await settled(drill, load)
        # The last of `running` may end by itself there; here none does.
        await nothing_lost(drill, running, kafka_address, topic)
    print(drill.report())
