"""A relay whose database is replaced by a standby that lacks the last commits, while none of its rounds fails.

Who renews the leases is told of the loss; then the pool has new connections.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager

import pytest
from attrs import define, field

from adapters.postgres.connection.target import read_target
from adapters.postgres.engine import create_engine
from adapters.postgres.lane_leases import PostgresLaneLeases
from adapters.postgres.outbox import INDEX_PLANS, PostgresOutbox
from adapters.postgres.state_lanes import PostgresStateLanes
from application.errors import StoreUnavailableError
from application.relay.lane_leases import LaneShare
from application.relay.lanes import LANES
from application.relay.relay_state import RelayEventsAndState
from support.failover import migrated
from support.memory import MemoryPublisher
from support.proxy import Proxy, proxy
from support.replication import Pair, pair
from support.state_memory import MemoryStatePublisher
from support.writing import Writer, writer

ALL = range(LANES)
USER = "user_0"


@define(eq=False)
class Failover:
    """The servers, and what loses commits."""

    both: Pair
    link: Proxy
    leases: PostgresLaneLeases

    async def lose_commits_from_here(self) -> None:
        await self.both.caught_up()
        self.link.swallow()

    async def fail_over(self) -> None:
        """Promote the standby, and let who renews the leases be the one that is told."""
        self.both.leader.kill()
        await self.both.promote()
        with pytest.raises(StoreUnavailableError):
            await self.leases.read("relay")
        await self.leases.read("relay")


@define
class SlowPublisher(MemoryPublisher):
    """Does something else while a batch is on its way."""

    state: MemoryStatePublisher = field(factory=MemoryStatePublisher)
    meanwhile: list[Callable[[], Awaitable[None]]] = field(factory=list)

    async def publish(self, batch):
        if self.meanwhile:
            while not self.state.topic.asked:
                await asyncio.sleep(0.01)
            await self.meanwhile.pop()()
        return await super().publish(batch)


@define(eq=False)
class Stage:
    failover: Failover
    users: Writer
    run_round: RelayEventsAndState
    publisher: SlowPublisher

    async def until_empty(self) -> None:
        async with asyncio.timeout(30):
            while (await self.run_round(ALL, 10)).taken:
                pass

    def states(self) -> list[tuple[str, int]]:
        return self.publisher.state.topic.log


@pytest.fixture
def failing_over() -> Iterator[tuple[Pair, Proxy]]:
    with pair() as both, proxy("127.0.0.1", both.leader.port) as link:
        yield both, link


@pytest.fixture
async def stage(failing_over) -> AsyncIterator[Stage]:
    both, link = failing_over
    async with staged(both, link, both.url()) as running:
        yield running


@asynccontextmanager
async def staged(both: Pair, link: Proxy, relays_url: str) -> AsyncIterator[Stage]:
    """Run a relay on this URL; the standby follows through `link`."""
    await migrated(both)
    await both.replicate(synchronous=False, through=link.port)
    engine = create_engine(
        read_target(relays_url), pool_size=3, application_name="tests", settings=INDEX_PLANS, tells_losses=True
    )
    leases = PostgresLaneLeases(engine)
    await leases.read("relay")
    assert await leases.write("relay", LaneShare(frozenset(ALL), frozenset())) == frozenset(ALL)
    publisher = SlowPublisher()
    run_round = RelayEventsAndState(
        "relay", PostgresOutbox(engine), publisher, publisher.state, PostgresStateLanes(engine)
    )
    async with writer(both.url(), users=1) as users:
        yield Stage(Failover(both, link, leases), users, run_round, publisher)
    await engine.dispose()


async def test_the_next_relay_knows_whom_to_fence_though_the_claim_was_lost(stage):
    await stage.users.change(USER)
    await stage.failover.lose_commits_from_here()
    await stage.run_round(ALL, 10)  # claims the lanes, which the standby will never know
    await stage.failover.fail_over()

    await stage.users.change(USER)
    await stage.until_empty()

    assert set(stage.states()) == {(USER, 1), (USER, 2)}
    assert await stage.run_round.lanes.writers(ALL, but="the next one") == {await stage.publisher.state.writer()}


@pytest.mark.parametrize("when", ["while a batch is on its way", "between two rounds"])
async def test_a_version_whose_successor_was_lost_is_the_newest_again_and_written(stage, when):
    await stage.run_round(ALL, 10)
    await stage.users.change(USER)
    await stage.failover.lose_commits_from_here()
    await stage.users.change(USER)  # this one alone is lost
    if when == "between two rounds":
        await stage.run_round(ALL, 1)  # version 1, which was overtaken
        await stage.failover.fail_over()
    else:
        stage.publisher.meanwhile.append(stage.failover.fail_over)
        await stage.run_round(ALL, 1)
    written = list(stage.states())

    await stage.until_empty()

    assert written == []
    assert set(stage.states()) == {(USER, 1)}
