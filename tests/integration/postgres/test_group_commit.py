"""Many changes share a statement, and one that cannot be stored takes nobody with it."""

import asyncio
from functools import partial

import asyncpg
import pytest

from adapters.kafka.cloudevents import encode
from adapters.postgres import group_commit
from adapters.postgres.connection.target import read_target
from adapters.postgres.engine import create_engine
from adapters.postgres.user_reader import PostgresUserReader
from adapters.postgres.user_store import PostgresUserStore
from application.errors import StoreBusyError, StoreUnavailableError, UnstorableError
from domain.decision import Decision, Outcome
from domain.sync_user import sync_user
from domain.user import UserId
from support.memory import living
from support.statements import statements
from support.users import USER, snapshot


def creation(store: PostgresUserStore, user_id: UserId, **changes):
    return store.change(user_id, partial(sync_user, snapshot=snapshot(user_id, **changes)))


async def execute(database_url: str, *statements_: str) -> None:
    connection = await asyncpg.connect(database_url)
    try:
        for statement in statements_:
            await connection.execute(statement)
    finally:
        await connection.close()


async def fetch(database_url: str, statement: str) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(database_url)
    try:
        return await connection.fetch(statement)
    finally:
        await connection.close()


@pytest.mark.one_server
async def test_a_lone_change_is_two_statements(store, engine):
    async with statements(engine) as seen:
        await creation(store, USER)

    assert len(seen) == 2


@pytest.mark.one_server  # on Citus the statement is at the worker, where this engine does not count
async def test_a_change_that_decides_nothing_is_one_statement(store, engine):
    await creation(store, USER)
    async with statements(engine) as seen:
        await creation(store, USER)

    assert len(seen) == 1


async def test_32_concurrent_senders_need_well_under_one_statement_for_each_webhook(store, engine):
    async def sender(number: int) -> None:
        for at in range(20):
            await creation(store, UserId(f"user_{number}_{at}"))

    async with statements(engine) as seen:
        await asyncio.gather(*(sender(number) for number in range(32)))

    assert len(seen) / (32 * 20) < 0.25


async def test_relays_are_woken_once_events_are_committed(engine):
    told: list[str] = []
    store = PostgresUserStore(engine, encode, lambda _: told.append("stored"))
    await store.start()
    await asyncio.gather(*(creation(store, UserId(f"user_{number}")) for number in range(10)))
    batches = len(told)
    await creation(store, UserId("user_1"), at=2000)  # moves the source time only: no event, no wake-up
    await store.aclose()

    assert 1 <= batches <= 2
    assert len(told) == batches


async def test_a_change_that_can_never_be_stored_fails_alone_and_is_told_so(store, engine):
    # A lone surrogate cannot be encoded, and U+0000 cannot be in a text column: neither reaches us through Clerk's
    # payloads, both stand for whatever PostgreSQL or the driver may refuse one day.
    bad = [UserId("user_bad1"), UserId("user_bad2")]
    good = [UserId(f"user_good{number}") for number in range(30)]
    changes = [creation(store, user_id) for user_id in good]
    changes.insert(7, creation(store, bad[0], first_name="\x00"))
    changes.insert(19, creation(store, bad[1], first_name="\ud800"))

    results = await asyncio.gather(*changes, return_exceptions=True)

    assert [type(result) for result in results].count(UnstorableError) == 2
    assert sum(isinstance(result, Decision) for result in results) == 30
    reader = PostgresUserReader(engine)
    assert [await reader.get(user_id) for user_id in bad] == [None, None]
    assert None not in [await reader.get(user_id) for user_id in good]


async def test_what_went_wrong_is_told_without_any_personal_data(store):
    with pytest.raises(UnstorableError) as caught:
        await creation(store, USER, first_name="Ada\x00", email="secret@example.org")

    assert "secret" not in repr(caught.value)
    assert "Ada" not in repr(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.one_server  # Citus takes no triggers
async def test_a_commit_that_fails_leaves_neither_row_nor_event(store, database_url):
    # A deferred constraint trigger fires at COMMIT, after every statement has succeeded.
    await execute(
        database_url,
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'refused at commit'; END $$",
        "CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON outbox DEFERRABLE INITIALLY DEFERRED"
        " FOR EACH ROW EXECUTE FUNCTION refuse()",
    )

    with pytest.raises(UnstorableError):
        await creation(store, USER)

    assert await fetch(database_url, "SELECT 1 FROM users UNION ALL SELECT 1 FROM outbox") == []


@pytest.mark.one_server  # on Citus a lock that is taken at the coordinator does not hold up what is written to shards
async def test_a_database_that_does_not_answer_is_told_in_bounded_time_and_nothing_is_lost(
    engine, database_url, monkeypatch
):
    monkeypatch.setattr(group_commit, "STATEMENT_TIMEOUT_S", 0.5)
    store = PostgresUserStore(engine, encode, lambda _: None)
    await store.start()
    blocker = await asyncpg.connect(database_url)
    transaction = blocker.transaction()
    await transaction.start()
    await blocker.execute("LOCK TABLE users IN ACCESS EXCLUSIVE MODE")

    with pytest.raises(StoreUnavailableError):
        await creation(store, USER)
    await transaction.rollback()
    await blocker.close()
    decision = await creation(store, USER)
    await store.aclose()

    assert decision.outcome in {Outcome.CREATED, Outcome.UNCHANGED}


async def test_a_full_queue_is_told_at_once(engine, monkeypatch):
    monkeypatch.setattr(group_commit, "QUEUE_LIMIT", 8)
    store = PostgresUserStore(engine, encode, lambda _: None)
    await store.start()

    results = await asyncio.gather(
        *(creation(store, UserId(f"user_{number}")) for number in range(20)), return_exceptions=True
    )

    await store.aclose()

    assert sum(isinstance(result, StoreBusyError) for result in results) == 12
    assert sum(isinstance(result, Decision) for result in results) == 8


async def test_a_cut_connection_is_replaced_without_the_sender_noticing(store, database_url):
    await creation(store, UserId("user_before"))
    await execute(
        database_url,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND application_name = 'tests'",
    )

    decision = await creation(store, UserId("user_after"))

    assert decision.outcome == Outcome.CREATED


@pytest.mark.parametrize(
    # On Citus a worker writes, and hears nothing of a setting of our session with the coordinator.
    "setting",
    [pytest.param("default_transaction_read_only", marks=pytest.mark.one_server), "missing table"],
)
async def test_a_database_that_cannot_take_it_is_unavailable_and_blames_no_change(
    engine, database_url, setting, empty_database
):
    if setting == "missing table":
        url = empty_database
    else:
        url = f"{database_url}?options=-c%20default_transaction_read_only%3Don"
    broken = create_engine(read_target(url), pool_size=1, application_name="tests")
    store = PostgresUserStore(broken, encode, lambda _: None)
    await store.start()

    with pytest.raises(StoreUnavailableError):
        await creation(store, USER)
    await store.aclose()
    await broken.dispose()


async def test_a_server_that_is_gone_is_unavailable_at_once():
    engine = create_engine(read_target("postgresql://nobody@127.0.0.1:1/none"), pool_size=1, application_name="tests")
    store = PostgresUserStore(engine, encode, lambda _: None)
    await store.start()

    with pytest.raises(StoreUnavailableError):
        await creation(store, USER)
    await store.aclose()


async def test_a_caller_that_gives_up_does_not_disturb_the_others(store, engine):
    impatient = asyncio.create_task(creation(store, UserId("user_impatient")))
    patient = asyncio.create_task(creation(store, UserId("user_patient")))
    await asyncio.sleep(0)
    impatient.cancel()

    assert (await patient).outcome == Outcome.CREATED


async def test_closing_the_store_finishes_what_was_accepted(engine):
    store = PostgresUserStore(engine, encode, lambda _: None)
    await store.start()
    accepted = [asyncio.create_task(creation(store, UserId(f"user_{number}"))) for number in range(300)]
    await asyncio.sleep(0)
    await store.aclose()

    assert {task.result().outcome for task in accepted} == {Outcome.CREATED}


async def test_the_row_and_its_event_become_visible_in_one_moment(store, engine, database_url):
    """A reader that looks at both in one statement never sees one without the other."""
    stop = asyncio.Event()

    async def watch() -> int:
        connection = await asyncpg.connect(database_url)
        looks = 0
        try:
            while not stop.is_set():
                row = await connection.fetchrow(
                    "SELECT (SELECT version FROM users WHERE id = $1) AS row,"
                    " (SELECT max(version) FROM outbox WHERE key = $1) AS event",
                    USER,
                )
                assert row is not None
                assert row["row"] == row["event"]
                looks += 1
        finally:
            await connection.close()
        return looks

    watcher = asyncio.create_task(watch())
    for at in range(100):
        await creation(store, USER, at=1000 + at, first_name=f"{at}")
    stop.set()

    assert await watcher > 0
    assert living(await PostgresUserReader(engine).get(USER)).version == 100
