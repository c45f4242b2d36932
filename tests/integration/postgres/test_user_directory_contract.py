"""What `UserDirectory` promises, held against the fake that other tests use and against PostgreSQL."""

from collections.abc import AsyncIterator
from functools import partial

import asyncpg
import pytest
from attrs import frozen

from adapters.kafka.cloudevents import encode
from adapters.postgres.connection.target import read_target
from adapters.postgres.engine import create_engine
from adapters.postgres.statements import BY_KEY, READ
from adapters.postgres.user_directory import BY_EMAIL, PAGE, PostgresUserDirectory
from adapters.postgres.user_store import PostgresUserStore
from application.errors import StoreUnavailableError
from application.users.ports import UserDirectory, UserStore
from domain.delete_user import delete_user
from domain.sync_user import sync_user
from domain.user import Tombstone, User, UserId
from support.memory import MemoryDirectory, MemoryUsers
from support.users import USER, deletion, snapshot


@frozen
class Case:
    store: UserStore
    directory: UserDirectory

    async def sync(self, user: str = USER, **changes) -> User:
        news = snapshot(UserId(user), **changes)
        decision = await self.store.change(news.id, partial(sync_user, snapshot=news))
        assert isinstance(decision.user, User)
        return decision.user

    async def delete(self, user: str) -> None:
        await self.store.change(UserId(user), partial(delete_user, deletion=deletion(UserId(user))))


@pytest.fixture(params=["memory", "postgres"])
async def case(request: pytest.FixtureRequest, database_url: str) -> AsyncIterator[Case]:
    if request.param == "memory":
        users = MemoryUsers(encode)
        yield Case(users, MemoryDirectory(users))
        return
    engine = create_engine(read_target(database_url), pool_size=4, application_name="tests", settings=BY_KEY)
    store = PostgresUserStore(engine, encode, lambda _: None)
    await store.start()
    yield Case(store, PostgresUserDirectory(engine))
    await store.aclose()
    await engine.dispose()


async def test_many_are_read_by_id_living_deleted_and_not_at_all(case):
    ada = await case.sync("user_a")
    await case.sync("user_b")
    await case.delete("user_b")

    found = await case.directory.get_many([UserId("user_a"), UserId("user_b"), UserId("user_c"), UserId("user_a")])

    assert found["user_a"] == ada
    assert isinstance(found["user_b"], Tombstone)
    assert set(found) == {"user_a", "user_b"}
    assert await case.directory.get_many([]) == {}


async def test_an_email_finds_everybody_who_has_it_in_whatever_letters(case):
    first = await case.sync("user_a", email="Ada@Example.org")
    second = await case.sync("user_b", email="ada@example.ORG")
    await case.sync("user_c", email="ada@example.org.evil")
    await case.sync("user_d", email=None)

    for email in ("ada@example.org", "ADA@EXAMPLE.ORG"):
        assert await case.directory.by_email(email, limit=10) == [first, second]
    assert await case.directory.by_email("ada@example.org", limit=1) == [first]


@pytest.mark.parametrize(
    "email", ["", "%", "ada@%", "ada@example.or_", "\0", "ada@example.org\0", "\ud800", "x" * 20_000]
)
async def test_an_email_that_nobody_has_finds_nobody(case, email):
    await case.sync()

    assert await case.directory.by_email(email, limit=10) == []


async def test_an_email_follows_the_user_and_ends_with_the_user(case):
    await case.sync(at=1000, email="old@example.org")
    moved = await case.sync(at=2000, email="new@example.org")

    assert await case.directory.by_email("old@example.org", limit=10) == []
    assert await case.directory.by_email("new@example.org", limit=10) == [moved]
    await case.delete(USER)
    assert await case.directory.by_email("new@example.org", limit=10) == []


async def test_an_email_of_any_length_can_be_stored_and_found(case):
    """A B-tree would refuse it, and the webhook with it."""
    long = "".join(f"{number:x}" for number in range(10_000)) + "@example.org"
    user = await case.sync(email=long)

    assert await case.directory.by_email(long.upper(), limit=10) == [user]


async def test_pages_follow_one_another_without_a_gap_or_a_deleted_user(case):
    users = [await case.sync(f"user_{number:02}") for number in range(10)]
    await case.delete("user_03")
    del users[3]
    seen: list[User] = []
    while page := await case.directory.page(after=seen[-1].id if seen else None, limit=4):
        seen += page

    assert seen == users


async def test_flags_narrow_a_page(case):
    await case.sync("user_a")
    banned = await case.sync("user_b", banned=True)
    locked = await case.sync("user_c", locked=True)
    both = await case.sync("user_d", banned=True, locked=True)

    async def ids(**flags: bool) -> list[User]:
        return list(await case.directory.page(after=None, limit=10, **flags))

    assert await ids(banned=True) == [banned, both]
    assert await ids(locked=True) == [locked, both]
    assert await ids(banned=False, locked=True) == [locked]
    assert len(await ids()) == 4


async def test_a_server_that_is_gone_is_unavailable():
    directory = PostgresUserDirectory(
        create_engine(read_target("postgresql://nobody@127.0.0.1:1/none"), pool_size=1, application_name="tests")
    )

    for question in (
        directory.get_many([USER]),
        directory.by_email("a@b", limit=1),
        directory.page(after=None, limit=1),
    ):
        with pytest.raises(StoreUnavailableError):
            await question


@pytest.mark.one_server
@pytest.mark.parametrize("rows", [0, 20_000])
@pytest.mark.parametrize(
    ("statement", "arguments", "index"),
    [
        (READ, "'{user_1,user_2}'", "users_pkey"),
        (BY_EMAIL, "'ADA7@example.org', 100", "users_lower_email_idx"),
        (PAGE, "'user_5', true, NULL, 100", "users_pkey"),
    ],
)
async def test_every_read_uses_its_index_whatever_is_known_of_the_table(
    database_url, rows, statement, arguments, index
):
    connection = await asyncpg.connect(
        database_url, server_settings={**BY_KEY, "plan_cache_mode": "force_generic_plan"}
    )
    await connection.execute(
        "INSERT INTO users (id, version, revision, email, email_verified, banned, locked)"
        " SELECT 'user_' || n, 1, 1, 'ada' || n || '@example.org', false, false, false"
        " FROM generate_series(1, $1::int) n",
        rows,
    )
    await connection.execute(f"PREPARE read AS {statement.sql}")
    plan = "\n".join(row[0] for row in await connection.fetch(f"EXPLAIN EXECUTE read ({arguments})"))
    await connection.close()

    assert f"Index Scan using {index} on users" in plan, plan
    assert "Seq Scan" not in plan, plan


@pytest.mark.one_server
@pytest.mark.parametrize(("email", "hot"), [("ada@example.org", 20), (None, 0)], ids=["kept", "changed"])
async def test_an_update_that_leaves_the_email_alone_stays_on_its_page(database_url, email, hot):
    engine = create_engine(read_target(database_url), pool_size=1, application_name="tests", settings=BY_KEY)
    store = PostgresUserStore(engine, encode, lambda _: None)
    await store.start()
    for at in range(21):
        news = snapshot(at=1000 + at, first_name=f"Ada {at}", email=email or f"ada{at}@example.org")
        await store.change(news.id, partial(sync_user, snapshot=news))
    await store.aclose()
    await engine.dispose()
    connection = await asyncpg.connect(database_url)
    while True:  # the counts are told when a session ends, a moment later
        counts = await connection.fetchrow(
            "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'users'"
        )
        if counts["n_tup_upd"] >= 20:
            break
        await connection.execute("SELECT pg_stat_clear_snapshot(), pg_sleep(0.02)")
    await connection.close()

    assert tuple(counts) == (20, hot)
