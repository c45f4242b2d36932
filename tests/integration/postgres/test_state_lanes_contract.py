"""What `StateLanes` promises, held against the fake and against PostgreSQL."""

from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial

import pytest
from attrs import evolve, frozen

from adapters.kafka.cloudevents import encode
from adapters.postgres.connection.target import read_target
from adapters.postgres.engine import create_engine
from adapters.postgres.lane_leases import PostgresLaneLeases
from adapters.postgres.outbox import PostgresOutbox
from adapters.postgres.state_lanes import PostgresStateLanes
from adapters.postgres.user_store import PostgresUserStore
from application.relay.lane_leases import LaneShare
from application.relay.lanes import LANES
from application.relay.messages import Pending
from application.relay.ports import StateLanes
from application.relay.state_topic import FencedError, fill_lane
from domain.sync_user import sync_user
from domain.user import Known, UserId
from support.memory import MemoryOutbox
from support.state_memory import MemoryStateLanes
from support.users import snapshot


@frozen
class Case:
    lanes: StateLanes
    hold: Callable[[str, set[int]], Awaitable[None]]
    """Let this relay hold these lanes."""
    store: Callable[[str, int], Awaitable[list[Pending]]]
    """Store one more version of this user, made at this time, and return all that waits."""


@pytest.fixture(params=["memory", "postgres"])
async def case(request: pytest.FixtureRequest, database_url: str) -> AsyncIterator[Case]:
    if request.param == "memory":
        newest: dict[str, int] = {}
        lanes = MemoryStateLanes(newest, dict.fromkeys(range(LANES), "nobody"))
        outbox = MemoryOutbox()
        known: dict[str, Known] = {}

        async def hold(relay: str, held: set[int]) -> None:
            lanes.owners.update(dict.fromkeys(held, relay))

        async def store(user: str, at: int) -> list[Pending]:
            decision = sync_user(known.get(user), snapshot(UserId(user), at=at, first_name=f"{at}"))
            known[user] = decision.user
            newest[user] = decision.user.version
            outbox.add(*(encode(event) for event in decision.events))
            return outbox.rows

        yield Case(lanes, hold, store)
        return

    engine = create_engine(read_target(database_url), pool_size=4, application_name="tests")
    users = PostgresUserStore(engine, encode, lambda _: None)
    await users.start()

    async def lease(relay: str, held: set[int]) -> None:
        assert await PostgresLaneLeases(engine).write(relay, LaneShare(frozenset(held), frozenset())) == held

    async def change(user: str, at: int) -> list[Pending]:
        news = snapshot(UserId(user), at=at, first_name=f"{at}")
        await users.change(news.id, partial(sync_user, snapshot=news))
        return await PostgresOutbox(engine).oldest(range(LANES), 100)

    yield Case(PostgresStateLanes(engine), lease, change)
    await users.aclose()
    await engine.dispose()


async def test_at_first_nobody_writes_and_a_holder_gets_what_it_claims(case):
    await case.hold("a", {1, 2})

    assert await case.lanes.writers([1, 2], but="w1") == frozenset()
    assert await case.lanes.claim("a", [1, 2], "w1", ["w1"]) == {1, 2}
    assert await case.lanes.writers([1, 2, 3], but="w2") == {"w1"}
    assert await case.lanes.writers([1, 2], but="w1") == frozenset()


async def test_a_lane_that_another_relay_holds_is_not_claimed(case):
    await case.hold("a", {1})
    await case.hold("b", {2})

    assert await case.lanes.claim("a", [1, 2, 3], "w1", ["w1"]) == {1}


async def test_a_writer_that_was_not_barred_keeps_its_lane(case):
    await case.hold("a", {1, 2})
    await case.lanes.claim("a", [1], "w1", ["w1"])

    refused = await case.lanes.claim("a", [1, 2], "w2", ["w2"])
    granted = await case.lanes.claim("a", [1], "w2", ["w2", "w1"])

    assert (refused, granted) == ({2}, {1})
    assert await case.lanes.writers([1, 2], but="w2") == frozenset()


async def test_only_a_message_of_the_users_newest_version_is_newest(case):
    await case.store("user_a", 1)
    await case.store("user_b", 1)
    rows = await case.store("user_a", 2)
    await written(case, "w1", rows)

    newest = await case.lanes.newest(rows, "w1")

    assert sorted((row.message.key, row.message.version) for row in rows if row.id in newest) == [
        ("user_a", 2),
        ("user_b", 1),
    ]
    assert await case.lanes.newest(rows[:1], "w1") == frozenset()
    assert await case.lanes.newest([], "w1") == frozenset()


async def test_a_writer_that_does_not_have_each_of_the_lanes_is_fenced(case):
    await case.store("user_a", 1)
    rows = await case.store("user_b", 1)
    [mine, other] = rows
    filling = evolve(mine, lane=fill_lane(mine.lane))
    with pytest.raises(FencedError):
        await case.lanes.newest(rows, "w1")
    await written(case, "w1", rows)
    await case.lanes.claim("a", [other.lane], "w2", ["w2", "w1"])

    assert await case.lanes.newest([mine], "w1") == {mine.id}
    assert await case.lanes.newest([filling], "w1") == {filling.id}
    for lost, writer in ((rows, "w1"), ([other], "w1"), ([filling], "w2")):
        with pytest.raises(FencedError):
            await case.lanes.newest(lost, writer)


async def written(case: Case, writer: str, rows: list[Pending]) -> None:
    """Let this writer have the lanes of these messages."""
    lanes = {row.lane for row in rows}
    await case.hold("a", lanes)
    assert await case.lanes.claim("a", lanes, writer, [writer]) == lanes
