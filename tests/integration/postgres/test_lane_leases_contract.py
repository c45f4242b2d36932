"""What `LaneLeases` promises, held against the fake and against PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from adapters.postgres.connection.target import read_target
from adapters.postgres.engine import create_engine
from adapters.postgres.lane_leases import PostgresLaneLeases
from application.relay.lane_leases import LaneShare, share_lanes
from application.relay.lanes import LANES
from application.relay.ports import LaneLeases
from support.memory import MemoryLeases

ALL = frozenset(range(LANES))
NONE: frozenset[int] = frozenset()


@pytest.fixture(params=["memory", "postgres"])
async def leases(request: pytest.FixtureRequest, database_url: str) -> AsyncIterator[LaneLeases]:
    if request.param == "memory":
        yield MemoryLeases()
        return
    engine = create_engine(read_target(database_url), pool_size=4, application_name="tests")
    yield PostgresLaneLeases(engine)
    await engine.dispose()


async def test_at_first_nobody_holds_a_lane_and_the_reader_is_alive(leases):
    table = await leases.read("a")

    assert table.owners == dict.fromkeys(ALL)
    assert set(table.relays) == {"a"}


async def test_a_relay_gets_what_is_free_and_others_see_it(leases):
    held = await leases.write("a", LaneShare(frozenset({1, 2}), NONE))

    assert held == {1, 2}
    assert {lane for lane, owner in (await leases.read("b")).owners.items() if owner == "a"} == {1, 2}


async def test_a_lane_that_another_relay_holds_is_not_given_away(leases):
    await leases.write("a", LaneShare(frozenset({1, 2}), NONE))

    assert await leases.write("b", LaneShare(frozenset({2, 3}), NONE)) == {3}


async def test_of_many_that_want_everything_at_once_each_lane_has_one(leases):
    held = await asyncio.gather(*(leases.write(f"r{number}", LaneShare(ALL, NONE)) for number in range(5)))

    assert sorted(lane for lanes in held for lane in lanes) == sorted(ALL)


async def test_released_lanes_are_free(leases):
    await leases.write("a", LaneShare(ALL, NONE))
    held = await leases.write("a", LaneShare(ALL - {5}, frozenset({5})))

    assert held == ALL - {5}
    assert (await leases.read("b")).owners[5] is None


async def test_a_relay_that_leaves_is_forgotten_and_its_lanes_are_free(leases):
    await leases.read("a")
    await leases.write("a", LaneShare(ALL, NONE))
    await leases.leave("a")

    table = await leases.read("b")
    assert table.owners == dict.fromkeys(ALL)
    assert set(table.relays) == {"b"}


async def test_three_relays_share_evenly_after_two_renewals(leases):
    for _ in range(3):
        for name in "abc":
            await leases.write(name, share_lanes(await leases.read(name), name))

    owners = list((await leases.read("a")).owners.values())
    assert sorted(owners.count(name) for name in "abc") == [21, 21, 22]


@pytest.mark.parametrize(
    ("lease_until", "seen_at"), [("- 1 ms", "- 1 hour"), ("+ 1 hour", "+ 1 hour")], ids=["expired", "clock set back"]
)
async def test_the_lanes_of_a_relay_that_stopped_renewing_become_free(database_url, lease_until, seen_at):
    engine = create_engine(read_target(database_url), pool_size=1, application_name="tests")
    leases = PostgresLaneLeases(engine)
    await leases.read("dead")
    await leases.write("dead", LaneShare(ALL, NONE))
    connection = await asyncpg.connect(database_url)
    await connection.execute(f"UPDATE outbox_lane SET lease_until = now() + interval '{lease_until}'")
    await connection.execute(f"UPDATE relay SET seen_at = now() + interval '{seen_at}'")
    await connection.close()

    table = await leases.read("alive")
    held = await leases.write("alive", share_lanes(table, "alive"))
    back = await leases.write("dead", LaneShare(ALL, NONE))
    await engine.dispose()

    assert set(table.relays) == {"alive"}
    assert held == ALL
    assert back == NONE  # it finds out at its next renewal
