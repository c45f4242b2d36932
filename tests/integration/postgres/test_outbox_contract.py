"""What `Outbox` promises a relay, held against the fake and against PostgreSQL."""

from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial

import asyncpg
import pytest
from attrs import frozen

from adapters.kafka.cloudevents import encode
from adapters.postgres.connection.target import read_target
from adapters.postgres.engine import create_engine
from adapters.postgres.outbox import INDEX_PLANS, PostgresOutbox
from adapters.postgres.user_store import PostgresUserStore
from application.errors import StoreUnavailableError
from application.relay.lanes import LANES, lane_of
from application.relay.messages import Pending, RefusedMessage
from application.relay.ports import Outbox
from application.relay.state_topic import fill_lane
from domain.sync_user import sync_user
from domain.user import Known, UserId
from support.memory import MemoryOutbox
from support.users import snapshot

ALL = range(LANES)


@frozen
class Case:
    outbox: Outbox
    store: Callable[[str, int], Awaitable[None]]
    """Store one more event of this user, made at this time."""
    dead: Callable[[], Awaitable[list[tuple[str, int, str, int]]]]
    """Key, version, error and attempts of the dead letters."""


@pytest.fixture(params=["memory", "postgres"])
async def case(request: pytest.FixtureRequest, database_url: str) -> AsyncIterator[Case]:
    if request.param == "memory":
        memory = MemoryOutbox()
        known: dict[str, Known] = {}

        async def add(user: str, at: int) -> None:
            decision = sync_user(known.get(user), snapshot(UserId(user), at=at, first_name=f"{at}"))
            known[user] = decision.user
            memory.newest[user] = decision.user.version
            memory.add(*(encode(event) for event in decision.events))

        async def dead() -> list[tuple[str, int, str, int]]:
            return [(r.pending.message.key, r.pending.message.version, r.error, r.attempts) for r in memory.dead]

        yield Case(memory, add, dead)
        return

    engine = create_engine(read_target(database_url), pool_size=4, application_name="tests", settings=INDEX_PLANS)
    users = PostgresUserStore(engine, encode, lambda _: None)
    await users.start()
    connection = await asyncpg.connect(database_url)

    async def store(user: str, at: int) -> None:
        news = snapshot(UserId(user), at=at, first_name=f"{at}")
        await users.change(news.id, partial(sync_user, snapshot=news))

    async def dead_letters() -> list[tuple[str, int, str, int]]:
        rows = await connection.fetch("SELECT key, version, error, attempts FROM outbox_dead ORDER BY id")
        return [tuple(row) for row in rows]

    yield Case(PostgresOutbox(engine), store, dead_letters)
    await connection.close()
    await users.aclose()
    await engine.dispose()


def told(batch: list[Pending]) -> list[tuple[str, int]]:
    return [(pending.message.key, pending.message.version) for pending in batch]


async def test_an_empty_outbox_has_nothing(case):
    assert await case.outbox.oldest(ALL, 10) == []


async def test_each_keys_versions_come_in_order_and_from_the_lowest(case):
    for at in (1000, 2000, 3000):
        for user in ("user_a", "user_b"):
            await case.store(user, at)

    batch = told(await case.outbox.oldest(ALL, 100))

    for user in ("user_a", "user_b"):
        assert [version for key, version in batch if key == user] == [1, 2, 3]


async def test_a_limit_cuts_the_end_of_a_key_never_its_beginning(case):
    for at in range(1000, 1010):
        await case.store("user_a", at)

    assert told(await case.outbox.oldest(ALL, 4)) == [("user_a", version) for version in (1, 2, 3, 4)]


async def test_what_is_read_is_what_was_stored(case):
    await case.store("user_a", 1000)

    [pending] = await case.outbox.oldest(ALL, 1)

    news = snapshot(UserId("user_a"), at=1000, first_name="1000")
    assert pending.message == encode(sync_user(None, news).events[0])
    assert pending.lane == lane_of("user_a")


async def test_reading_again_before_the_delete_gives_the_same_again(case):
    await case.store("user_a", 1000)

    assert await case.outbox.oldest(ALL, 10) == await case.outbox.oldest(ALL, 10)


async def test_only_the_given_lanes_are_read(case):
    await case.store("user_a", 1000)
    others = [lane for lane in ALL if lane != lane_of("user_a")]

    assert await case.outbox.oldest(others, 10) == []


async def test_what_was_published_is_gone_and_the_rest_stays(case):
    for at in (1000, 2000, 3000):
        await case.store("user_a", at)
    batch = await case.outbox.oldest(ALL, 10)

    await case.outbox.delete(batch[:2])
    await case.outbox.delete(batch[:2])  # a relay that was frozen may do it once more

    assert told(await case.outbox.oldest(ALL, 10)) == [("user_a", 3)]


@pytest.mark.parametrize("count", [1, 3, 40])
async def test_what_was_published_is_gone_with_the_next_read_which_has_all_that_is_left(case, count):
    users = [f"user_{number}" for number in range(count)]
    for user in [*users, "user_a"]:
        await case.store(user, 1000)
    await case.store("user_a", 2000)
    batch = await case.outbox.oldest(ALL, 100)
    published = [pending for pending in batch if (pending.message.key, pending.message.version) != ("user_a", 2)]
    await case.store("user_0", 2000)

    after = await case.outbox.oldest(ALL, 100, published=published)
    again = await case.outbox.oldest(ALL, 100, published=published)  # a relay that was frozen may do it once more

    assert len(published) == count + 1
    assert sorted(told(after)) == [("user_0", 2), ("user_a", 2)]
    assert again == after
    assert await case.outbox.oldest(ALL, 100) == after


@pytest.mark.parametrize("limit", [1, 2, 3])
async def test_a_limit_counts_nothing_that_the_read_deletes(case, limit):
    for user in ("user_a", "user_b"):
        for at in (1000, 2000, 3000):
            await case.store(user, at)
    published: list[Pending] = []
    seen: list[tuple[str, int]] = []
    while batch := await case.outbox.oldest(ALL, limit, published=published):
        assert len(batch) <= limit
        published = batch
        seen += told(batch)

    for user in ("user_a", "user_b"):
        assert [version for key, version in seen if key == user] == [1, 2, 3]


async def test_a_version_that_was_overtaken_is_deleted_and_one_that_is_the_newest_stays(case):
    for user, at in (("user_a", 1000), ("user_a", 2000), ("user_b", 1000)):
        await case.store(user, at)
    batch = await case.outbox.oldest(ALL, 10)

    await case.outbox.delete_overtaken(batch)
    await case.outbox.delete_overtaken([])

    assert sorted(told(await case.outbox.oldest(ALL, 10))) == [("user_a", 2), ("user_b", 1)]


async def test_a_refused_event_is_moved_with_its_error_and_the_next_version_goes_on(case):
    for at in (1000, 2000):
        await case.store("user_a", at)
    [first, _] = await case.outbox.oldest(ALL, 10)

    await case.outbox.move_to_dead_letters([RefusedMessage(first, "MessageSizeTooLargeError", 2)])
    await case.outbox.move_to_dead_letters([RefusedMessage(first, "MessageSizeTooLargeError", 2)])

    assert told(await case.outbox.oldest(ALL, 10)) == [("user_a", 2)]
    assert (await case.dead())[:1] == [("user_a", 1, "MessageSizeTooLargeError", 2)]


async def test_an_event_that_becomes_visible_late_is_not_passed_over(database_url):
    """The trap of every relay that remembers "the last id": user a's row got its id first and commits last."""
    engine = create_engine(read_target(database_url), pool_size=4, application_name="tests")
    users = PostgresUserStore(engine, encode, lambda _: None)
    await users.start()
    outbox = PostgresOutbox(engine)
    slow = await asyncpg.connect(database_url)
    transaction = slow.transaction()
    await transaction.start()
    await slow.execute(
        "INSERT INTO outbox (key, version, lane, event_id, type, occurred_at, payload)"
        " VALUES ('user_a', 1, $1, gen_random_uuid(), 't', now(), '')",
        lane_of("user_a"),
    )
    news = snapshot(UserId("user_b"))
    await users.change(news.id, partial(sync_user, snapshot=news))
    before = await outbox.oldest(ALL, 10)
    await outbox.delete(before)
    await transaction.commit()
    after = await outbox.oldest(ALL, 10)
    await slow.close()
    await users.aclose()
    await engine.dispose()

    assert told(before) == [("user_b", 1)]
    assert told(after) == [("user_a", 1)]


# As a sequence is that has a cache, that a restore set back, or of which several servers have a part.
@pytest.mark.one_server
@pytest.mark.parametrize("alter", ["CACHE 50", "INCREMENT -1 MINVALUE -1000000 START -1 RESTART"])
@pytest.mark.parametrize("limit", [1, 2, 7, 1000])
async def test_versions_come_in_order_whatever_numbers_the_sequence_gives(database_url, alter, limit):
    admin = await asyncpg.connect(database_url)
    await admin.execute(f"ALTER SEQUENCE outbox_id_seq {alter}")
    engines = [create_engine(read_target(database_url), pool_size=1, application_name=f"tests {n}") for n in range(2)]
    stores = [PostgresUserStore(engine, encode, lambda _: None) for engine in engines]
    for store in stores:
        await store.start()
    for turn in range(8):  # two processes, each with numbers of its own, write the same users in turn
        for user in ("user_a", "user_b", "user_c"):
            news = snapshot(UserId(user), at=1000 + turn, first_name=f"{turn}")
            await stores[turn % 2].change(news.id, partial(sync_user, snapshot=news))
    ids = await admin.fetch("SELECT id FROM outbox WHERE key = 'user_a' ORDER BY version")
    outbox = PostgresOutbox(engines[0])
    published: list[tuple[str, int]] = []
    while batch := await outbox.oldest(ALL, limit):
        assert len(batch) <= limit
        published += told(batch)
        await outbox.delete(batch)
    for store in stores:
        await store.aclose()
    for engine in engines:
        await engine.dispose()
    await admin.close()

    assert ids != sorted(ids)
    for user in ("user_a", "user_b", "user_c"):
        assert [version for key, version in published if key == user] == list(range(1, 9))


@pytest.mark.one_server
async def test_only_what_was_published_is_deleted_when_the_sequence_gives_a_number_twice(database_url):
    """As after a fail-over to a server whose sequence was behind."""
    engine = create_engine(read_target(database_url), pool_size=1, application_name="tests")
    store = PostgresUserStore(engine, encode, lambda _: None)
    await store.start()
    outbox = PostgresOutbox(engine)
    admin = await asyncpg.connect(database_url)
    for at in (1000, 2000):
        news = snapshot(UserId("user_a"), at=at, first_name=f"{at}")
        await store.change(news.id, partial(sync_user, snapshot=news))
        await admin.execute("ALTER SEQUENCE outbox_id_seq RESTART")
    [first, second] = await outbox.oldest(ALL, 10)
    numbers = [row["id"] for row in await admin.fetch("SELECT id FROM outbox")]

    await outbox.delete([first])
    kept = await outbox.oldest(ALL, 10, published=[first])
    await outbox.move_to_dead_letters([RefusedMessage(first, "too large", 2)])
    still = await outbox.oldest(ALL, 10)
    await outbox.move_to_dead_letters([RefusedMessage(second, "too large", 2)])
    left = await outbox.oldest(ALL, 10)
    await admin.close()
    await store.aclose()
    await engine.dispose()

    assert numbers == [1, 1]
    assert (told(kept), told(still), left) == ([("user_a", 2)], [("user_a", 2)], [])


async def test_what_was_published_late_leaves_the_version_that_was_filled_in_anew(database_url):
    engine = create_engine(read_target(database_url), pool_size=1, application_name="tests", settings=INDEX_PLANS)
    store = PostgresUserStore(engine, encode, lambda _: None)
    await store.start()
    outbox = PostgresOutbox(engine)
    await store.change(UserId("user_a"), partial(sync_user, snapshot=snapshot(UserId("user_a"))))
    published = await outbox.oldest(ALL, 10)
    admin = await asyncpg.connect(database_url)
    await admin.execute("UPDATE outbox SET lane = $1", fill_lane(lane_of("user_a")))  # as `state fill` writes it
    await outbox.oldest(ALL, 10, published=published)
    left = await admin.fetchval("SELECT count(*) FROM outbox")
    await admin.close()
    await store.aclose()
    await engine.dispose()

    assert left == 1


@pytest.mark.parametrize("distributed", [False, True])
async def test_what_was_published_of_lost_commits_leaves_what_was_stored_under_the_same_versions(
    database_url, distributed
):
    """As after a fail-over to a standby that lacked commits, when no statement met the end of the old server."""
    engine = create_engine(read_target(database_url), pool_size=1, application_name="tests", settings=INDEX_PLANS)
    store = PostgresUserStore(engine, encode, lambda _: None)
    await store.start()
    outbox = PostgresOutbox(engine)
    outbox._distributed = distributed
    admin = await asyncpg.connect(database_url)

    async def change(at: int) -> None:
        news = snapshot(UserId("user_a"), at=at, first_name=f"{at}")
        await store.change(news.id, partial(sync_user, snapshot=news))

    await change(1000)
    await change(2000)
    lost = await outbox.oldest(ALL, 10)
    await admin.execute("DELETE FROM outbox")
    await admin.execute("DELETE FROM users")
    await change(3000)
    await change(4000)
    await change(5000)
    read = await outbox.oldest(ALL, 10, published=lost)
    await outbox.delete(lost)
    await outbox.delete_overtaken(lost)
    await outbox.move_to_dead_letters([RefusedMessage(item, "too large", 2) for item in lost])
    left = await outbox.oldest(ALL, 10)
    await admin.close()
    await store.aclose()
    await engine.dispose()

    assert told(lost) == [("user_a", 1), ("user_a", 2)]
    assert told(read) == [("user_a", 1), ("user_a", 2), ("user_a", 3)]
    assert left == read


async def test_a_relay_that_does_not_feed_the_state_topic_never_reads_what_waits_for_it_alone(database_url):
    engine = create_engine(read_target(database_url), pool_size=1, application_name="tests", settings=INDEX_PLANS)
    admin = await asyncpg.connect(database_url)
    for version, lane in ((1, ~lane_of("user_a")), (2, lane_of("user_a")), (3, lane_of("user_a"))):
        await admin.execute(
            "INSERT INTO outbox (key, version, lane, event_id, type, occurred_at, payload)"
            " VALUES ('user_a', $1, $2, gen_random_uuid(), 't', now(), '')",
            version,
            lane,
        )
    outbox = PostgresOutbox(engine)
    batches = [told(await outbox.oldest(ALL, limit)) for limit in (1, 2, 3)]
    await admin.close()
    await engine.dispose()

    assert batches == [[("user_a", 2)], [("user_a", 2), ("user_a", 3)], [("user_a", 2), ("user_a", 3)]]


async def test_a_relay_learns_that_there_is_no_database():
    engine = create_engine(read_target("postgresql://nobody@127.0.0.1:1/none"), pool_size=1, application_name="tests")
    outbox = PostgresOutbox(engine)

    for call in (
        outbox.oldest(ALL, 1),
        outbox.delete([]),
        outbox.delete_overtaken([]),
        outbox.move_to_dead_letters([]),
    ):
        with pytest.raises(StoreUnavailableError):
            await call
