"""What `UserDirectory` and `Checkpoints` promise a reconcile, held against the fakes and against PostgreSQL."""

from collections.abc import AsyncIterator

import asyncpg
import pytest
from attrs import evolve, frozen

from adapters.kafka.cloudevents import encode
from adapters.postgres.connection.target import read_target
from adapters.postgres.engine import create_engine
from adapters.postgres.reconcile_checkpoint import PostgresCheckpoints
from adapters.postgres.statements import BY_KEY
from adapters.postgres.user_directory import PostgresUserDirectory
from adapters.postgres.user_store import PostgresUserStore
from application.errors import StoreUnavailableError
from application.reconcile.drift import Drift
from application.reconcile.ports import Checkpoint, Checkpoints
from application.users.delete_user import DeleteUser
from application.users.ports import CreationKey, UserDirectory, UserStore
from application.users.sync_user import SyncUser
from domain.user import UserId
from support.memory import MemoryDirectory, MemoryUsers
from support.reconciling import MemoryCheckpoints
from support.users import deletion, snapshot

LEFT = Checkpoint(
    began_at=1_000,
    created_from=500,
    gone=(UserId("user_a"), UserId("user_b")),
    listed=7,
    moved=2,
    found={Drift.STALE: 3, Drift.DELETED_HERE: 1},
    repaired={Drift.STALE: 3},
)


@frozen
class Case:
    living: UserDirectory
    checkpoints: Checkpoints
    store: UserStore

    async def create(self, user_id: str, created_at: int) -> None:
        await SyncUser(self.store)(snapshot(UserId(user_id), created_at=created_at))


@pytest.fixture(params=["memory", "postgres"])
async def case(request: pytest.FixtureRequest, database_url: str) -> AsyncIterator[Case]:
    if request.param == "memory":
        users = MemoryUsers(encode)
        yield Case(MemoryDirectory(users), MemoryCheckpoints(), users)
        return

    engine = create_engine(read_target(database_url), pool_size=2, application_name="tests", settings=BY_KEY)
    store = PostgresUserStore(engine, encode, lambda _: None)
    await store.start()
    yield Case(PostgresUserDirectory(engine), PostgresCheckpoints(engine), store)
    await store.aclose()
    await engine.dispose()


async def test_living_users_come_by_time_of_creation_and_then_by_id_page_by_page(case):
    for user_id, created_at in (("user_c", 10), ("user_a", 20), ("user_d", 20), ("user_b", 20), ("user_e", 30)):
        await case.create(user_id, created_at)

    first = await case.living.created(CreationKey(0, UserId("")), 31, 2)
    second = await case.living.created(first[-1], 31, 2)
    third = await case.living.created(second[-1], 31, 2)

    assert [mark.user_id for mark in first + second + third] == ["user_c", "user_a", "user_b", "user_d", "user_e"]
    assert first[0] == CreationKey(10, UserId("user_c"))
    assert await case.living.created(third[-1], 31, 2) == []


async def test_a_span_begins_with_its_first_millisecond_and_ends_before_its_last(case):
    for number in range(5):
        await case.create(f"user_{number}", 10 * number)

    marks = await case.living.created(CreationKey(10, UserId("")), 30, 100)

    assert [mark.user_id for mark in marks] == ["user_1", "user_2"]


async def test_deleted_users_are_not_among_the_living(case):
    for number in range(3):
        await case.create(f"user_{number}", number)
    await DeleteUser(case.store)(deletion(UserId("user_1")))

    assert [mark.user_id for mark in await case.living.created(CreationKey(0, UserId("")), 100, 100)] == [
        "user_0",
        "user_2",
    ]
    assert await case.living.count() == 2
    assert set(await case.living.sample()) == {"user_0", "user_2"}


async def test_a_sample_is_of_the_oldest_and_the_newest(case):
    assert await case.living.sample() == []
    for number in range(20):
        await case.create(f"user_{number:02}", number)

    assert {int(user_id[5:]) for user_id in await case.living.sample()} == {0, 1, 2, 3, 4, 15, 16, 17, 18, 19}


async def test_an_interrupted_run_leaves_its_checkpoint_to_the_next(case):
    assert await case.checkpoints.take("one", began_after=0) is None
    await case.checkpoints.save("one", LEFT)
    await case.checkpoints.save("one", evolve(LEFT, created_from=None))

    assert await case.checkpoints.take("two", began_after=999) == evolve(LEFT, created_from=None)
    assert await case.checkpoints.take("three", began_after=999) == evolve(LEFT, created_from=None)


async def test_a_run_that_began_too_long_ago_is_not_gone_on_with(case):
    await case.checkpoints.take("one", began_after=0)
    await case.checkpoints.save("one", LEFT)

    assert await case.checkpoints.take("two", began_after=1_000) is None
    assert await case.checkpoints.take("three", began_after=0) is None


async def test_a_finished_run_leaves_nothing(case):
    await case.checkpoints.take("one", began_after=0)
    await case.checkpoints.save("one", LEFT)
    await case.checkpoints.finish("one")

    assert await case.checkpoints.take("two", began_after=0) is None


async def test_a_run_that_was_taken_over_neither_saves_nor_finishes(case):
    await case.checkpoints.take("one", began_after=0)
    await case.checkpoints.save("one", LEFT)
    await case.checkpoints.take("two", began_after=0)
    await case.checkpoints.save("one", evolve(LEFT, listed=99))
    await case.checkpoints.finish("one")

    assert await case.checkpoints.take("three", began_after=0) == LEFT


async def test_a_checkpoint_of_another_version_is_begun_anew(case, database_url):
    if isinstance(case.checkpoints, PostgresCheckpoints):
        await case.checkpoints.take("one", began_after=0)
        await case.checkpoints.save("one", LEFT)
        connection = await asyncpg.connect(database_url)
        await connection.execute("""UPDATE reconcile_checkpoint SET state = '{"cursor": [1, 2]}'""")
        await connection.close()

    assert await case.checkpoints.take("two", began_after=0) is None


@pytest.mark.one_server
async def test_living_users_are_read_by_their_index(database_url):
    connection = await asyncpg.connect(database_url, server_settings=BY_KEY)
    plan = await connection.fetch(
        "EXPLAIN SELECT created_at, id FROM users WHERE deleted_at IS NULL AND (created_at, id) > (now(), 'a')"
        " AND created_at < now() ORDER BY created_at, id LIMIT 10"
    )
    await connection.close()

    assert any("users_created_at_idx" in line[0] for line in plan)


async def test_a_database_that_is_not_there_is_told_in_the_applications_words():
    engine = create_engine(read_target("postgresql://nobody@127.0.0.1:1/none"), pool_size=1, application_name="tests")
    living, checkpoints = PostgresUserDirectory(engine), PostgresCheckpoints(engine)

    for ask in (living.count, living.sample, lambda: checkpoints.take("one", began_after=0)):
        with pytest.raises(StoreUnavailableError):
            await ask()
    await engine.dispose()
