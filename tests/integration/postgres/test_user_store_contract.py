"""What `UserStore` and `UserReader` promise, held against the fake that other tests use and against PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial

import msgspec
import pytest
from attrs import frozen
from sqlalchemy import select

from adapters.kafka.cloudevents import encode
from adapters.postgres.connection.target import read_target
from adapters.postgres.engine import create_engine
from adapters.postgres.tables import outbox
from adapters.postgres.user_reader import PostgresUserReader
from adapters.postgres.user_store import PostgresUserStore
from application.trace import traceparent
from application.users.ports import UserReader, UserStore
from domain.decision import Decision, Outcome
from domain.delete_user import delete_user
from domain.sync_user import sync_user
from domain.user import Known, Tombstone, UserId
from support.memory import MemoryUsers, living
from support.users import USER, deletion, snapshot


@frozen
class Case:
    store: UserStore
    reader: UserReader
    events: Callable[[], Awaitable[list[tuple[str, int, bytes, str | None]]]]
    """Key, version, payload and traceparent of every stored event, oldest first."""


@pytest.fixture(params=["memory", "postgres"])
async def case(request: pytest.FixtureRequest, database_url: str) -> AsyncIterator[Case]:
    if request.param == "memory":
        users = MemoryUsers(encode)

        async def events() -> list[tuple[str, int, bytes, str | None]]:
            return [(m.key, m.version, m.payload, m.traceparent) for m in users.outbox]

        yield Case(users, users, events)
        return

    engine = create_engine(read_target(database_url), pool_size=4, application_name="tests")
    store = PostgresUserStore(engine, encode, lambda _: None)
    await store.start()

    async def stored() -> list[tuple[str, int, bytes, str | None]]:
        async with engine.begin() as connection:
            columns = (outbox.c.key, outbox.c.version, outbox.c.payload, outbox.c.traceparent)
            return [tuple(row) for row in await connection.execute(select(*columns).order_by(outbox.c.id))]

    yield Case(store, PostgresUserReader(engine), stored)
    await store.aclose()
    await engine.dispose()


def sync(**changes):
    return partial(sync_user, snapshot=snapshot(**changes))


async def test_an_unknown_user_is_none(case):
    assert await case.reader.get(USER) is None


async def test_what_was_decided_is_read_back_as_it_was(case):
    decision = await case.store.change(USER, sync(public_metadata={"a": 1.0, "b": [None, "\x00", {"c": 10**18}]}))

    assert decision.outcome == Outcome.CREATED
    assert await case.reader.get(USER) == decision.user


async def test_the_event_is_stored_with_the_user_and_carries_its_bytes_and_its_trace(case):
    token = traceparent.set("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    try:
        decision = await case.store.change(USER, sync())
    finally:
        traceparent.reset(token)

    [(key, version, payload, trace)] = await case.events()
    assert (key, version) == (USER, 1)
    assert payload == encode(decision.events[0]).payload
    assert trace == "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


async def test_a_change_of_time_alone_is_stored_without_an_event(case):
    await case.store.change(USER, sync(at=1000))
    await case.store.change(USER, sync(at=2000))

    user = living(await case.reader.get(USER))
    assert (user.version, user.source.updated_at, user.updated_at) == (1, 2000, 1000)
    assert len(await case.events()) == 1


async def test_nothing_is_written_when_nothing_was_decided(case):
    first = await case.store.change(USER, sync(at=2000))
    again = await case.store.change(USER, sync(at=1000, first_name="Grace"))

    assert again.outcome == Outcome.STALE
    assert await case.reader.get(USER) == first.user
    assert len(await case.events()) == 1


async def test_a_deletion_leaves_a_tombstone_and_its_event(case):
    await case.store.change(USER, sync())
    await case.store.change(USER, partial(delete_user, deletion=deletion()))

    assert await case.reader.get(USER) == Tombstone(id=USER, version=2, deleted_at=9000)
    assert msgspec.json.decode((await case.events())[-1][2]) == {
        "user": {"id": USER, "version": 2, "deleted_at": "1970-01-01T00:00:09.000Z"}
    }


async def test_a_decision_that_raises_reaches_its_caller_and_nobody_else(case):
    def broken(_: Known) -> Decision:
        raise ZeroDivisionError

    other = UserId("user_other")
    broken_one, fine = await asyncio.gather(
        case.store.change(USER, broken),
        case.store.change(other, partial(sync_user, snapshot=snapshot(other))),
        return_exceptions=True,
    )

    assert isinstance(broken_one, ZeroDivisionError)
    assert isinstance(fine, Decision)
    assert await case.reader.get(USER) is None
    assert await case.reader.get(other) is not None


async def test_each_of_many_concurrent_changes_of_one_user_sees_the_one_before(case):
    names = [f"name {number}" for number in range(60)]

    decisions = await asyncio.gather(
        *(case.store.change(USER, sync(at=1000 + at, first_name=name)) for at, name in enumerate(names))
    )

    user = living(await case.reader.get(USER))
    assert user.profile.first_name == names[-1]
    published = [version for _, version, _, _ in await case.events()]
    assert published == list(range(1, user.version + 1))
    assert {decision.outcome for decision in decisions} <= {Outcome.CREATED, Outcome.UPDATED, Outcome.STALE}
