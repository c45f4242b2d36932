"""What `SessionStore` promises, asked of the fake and of PostgreSQL; and what only a database can do wrong."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from functools import partial

import asyncpg
import pytest
from attrs import frozen
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.kafka.cloudevents import encode
from adapters.postgres import group_commit
from adapters.postgres.connection.target import read_target
from adapters.postgres.engine import create_engine
from adapters.postgres.outbox import PostgresOutbox
from adapters.postgres.outbox_admin import PostgresOutboxAdmin
from adapters.postgres.session_store import PostgresSessionCleaner, PostgresSessionStore
from adapters.postgres.statements import BY_KEY, READ_WITH_SESSIONS
from adapters.postgres.user_reader import PostgresUserReader
from application.errors import StoreUnavailableError
from application.relay.dead_letters import Repair
from application.relay.lanes import LANES, lane_of, session_lane
from application.relay.messages import OutboxMessage, RefusedMessage
from application.sessions.ports import SessionStore
from application.sessions.revoke_session import RevokeSession
from application.users.ports import UserReader
from domain.decision import Outcome
from domain.session import RevokedSession, SessionId
from domain.sync_user import sync_user
from domain.user import UserId
from support.memory import MemoryUsers
from support.statements import statements
from support.users import USER, snapshot

HOUR_MS = 3_600_000


def ended(name: str = "sess_1", user_id: UserId = USER, at: int = 1_700_000_000_000) -> RevokedSession:
    return RevokedSession(id=SessionId(name), user_id=user_id, revoked_at=at)


@pytest.fixture
async def sessions(engine) -> AsyncIterator[PostgresSessionStore]:
    store = PostgresSessionStore(engine, encode, lambda _: None)
    await store.start()
    yield store
    await store.aclose()


async def waiting(engine) -> list[OutboxMessage]:
    pending = await PostgresOutbox(engine).oldest([session_lane(lane) for lane in range(LANES)], 1000)
    return [item.message for item in pending]


@frozen
class Case:
    store: SessionStore
    reader: UserReader
    outbox: Callable[[], Awaitable[list[OutboxMessage]]]


@pytest.fixture(params=["memory", "postgres"])
async def case(request, engine, sessions) -> Case:
    if request.param == "postgres":
        return Case(sessions, PostgresUserReader(engine), partial(waiting, engine))
    memory = MemoryUsers(encode)

    async def outbox() -> list[OutboxMessage]:
        return memory.sessions.outbox

    return Case(memory.sessions, memory, outbox)


async def test_a_session_is_revoked_once_and_has_one_event(case):
    revoke = RevokeSession(case.store)

    first, again = await revoke(ended(at=1000)), await revoke(ended(at=2000))

    assert (first.outcome, again.outcome) == (Outcome.REVOKED, Outcome.UNCHANGED)
    assert again.session == ended(at=1000)
    (message,) = await case.outbox()
    assert (message.key, message.version, message.type) == ("sess_1", 1, "anomalyze.session.revoked.v1")
    assert json.loads(message.payload) == {
        "session": {"id": "sess_1", "user_id": USER, "revoked_at": "1970-01-01T00:00:01.000Z"}
    }


async def test_a_reader_learns_of_it_whether_the_user_is_known_or_not(case):
    before = await case.reader.signed_in(USER, SessionId("sess_1"))
    await RevokeSession(case.store)(ended())
    after = await case.reader.signed_in(USER, SessionId("sess_1"))
    other = await case.reader.signed_in(USER, SessionId("sess_2"))

    assert [(found.user, found.revoked) for found in (before, after, other)] == [
        (None, False),
        (None, True),
        (None, False),
    ]
    assert await case.reader.get(USER) is None


async def test_ends_told_of_at_once_are_one_event(case):
    revoke = RevokeSession(case.store)

    decisions = await asyncio.gather(*(revoke(ended(at=at)) for at in range(1000, 1020)))

    assert sorted(decision.outcome for decision in decisions) == ["revoked"] + ["unchanged"] * 19
    assert len({decision.session for decision in decisions}) == 1
    assert len(await case.outbox()) == 1


async def test_the_same_session_id_of_another_user_disturbs_nobody(case):
    revoke = RevokeSession(case.store)
    other = UserId("user_grace")

    outcomes = [(await revoke(ended())).outcome, (await revoke(ended(user_id=other))).outcome]
    together = await asyncio.gather(revoke(ended("sess_2")), revoke(ended("sess_2", other)))

    assert outcomes == [Outcome.REVOKED] * 2
    assert [decision.outcome for decision in together] == [Outcome.REVOKED] * 2
    assert (await case.reader.signed_in(other, SessionId("sess_2"))).revoked


async def test_a_lone_revocation_is_one_statement_and_so_is_a_reader(engine, sessions, store):
    await store.change(USER, partial_sync(USER))
    reader = PostgresUserReader(engine)
    async with statements(engine) as seen:
        await RevokeSession(sessions)(ended())
        written = len(seen)
        await reader.signed_in(USER, SessionId("sess_1"))
        await reader.signed_in(UserId("user_nobody"), SessionId("sess_1"))

    assert (written, len(seen)) == (1, 3)


@pytest.mark.one_server
async def test_1000_concurrent_revocations_need_few_statements(engine, sessions):
    revoke = RevokeSession(sessions)
    async with statements(engine) as seen:
        await asyncio.gather(*(revoke(ended(f"sess_{number}")) for number in range(1000)))

    assert len(seen) <= 1000 / group_commit.BATCH_LIMIT + 3
    assert len(await waiting(engine)) == 1000


@pytest.mark.one_server
async def test_a_database_without_the_table_is_unavailable(empty_database):
    engine = create_engine(read_target(empty_database), pool_size=1, application_name="tests")
    store = PostgresSessionStore(engine, encode, lambda _: None)
    await store.start()

    with pytest.raises(StoreUnavailableError):
        await RevokeSession(store)(ended())
    with pytest.raises(StoreUnavailableError):
        await PostgresSessionCleaner(engine).forget(after_ms=0)
    await store.aclose()
    await engine.dispose()


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 2)), min_size=2, max_size=40), st.randoms())
async def test_processes_that_are_told_the_same_at_once_store_each_session_with_exactly_one_event(
    database_url, ends, chance
):
    run = f"{chance.getrandbits(64):x}"
    engines = [create_engine(read_target(database_url), pool_size=2, application_name="tests") for _ in range(3)]
    stores = [PostgresSessionStore(engine, encode, lambda _: None) for engine in engines]
    for store in stores:
        await store.start()
    told = [(stores[number], ended(f"sess_{name}_{run}")) for name, number in [*ends, *ends]]
    chance.shuffle(told)

    decisions = await asyncio.gather(*(RevokeSession(store)(end) for store, end in told))

    names = {end.id for _, end in told}
    keys = [message.key for message in await waiting(engines[0]) if message.key.endswith(run)]
    for store, engine in zip(stores, engines, strict=True):
        await store.aclose()
        await engine.dispose()
    assert sorted(keys) == sorted(names)
    assert sum(decision.outcome is Outcome.REVOKED for decision in decisions) == len(names)


async def test_what_no_token_can_name_any_more_is_forgotten_and_the_rest_is_kept(engine, sessions, database_url):
    revoke = RevokeSession(sessions)
    await revoke.each(ended(f"sess_{number}") for number in range(40))
    connection = await asyncpg.connect(database_url)
    hour_ago = await connection.fetchval("SELECT now() - interval '1 hour'")
    await connection.executemany(
        "UPDATE revoked_session SET recorded_at = $2 WHERE session_id = $1",
        [(f"sess_{number}", hour_ago - timedelta(seconds=number)) for number in range(1, 31)],
    )
    cleaners = [PostgresSessionCleaner(engine) for _ in range(3)]

    removed = 0
    while any(counts := await asyncio.gather(*(each.forget(after_ms=HOUR_MS) for each in cleaners))):
        assert max(counts) <= 12  # bounded: of ten seconds
        removed += sum(counts)
    left = await connection.fetchval("SELECT count(*) FROM revoked_session")
    await connection.close()

    assert (removed, left) == (30, 10)


async def test_a_session_that_is_told_of_again_after_it_was_forgotten_is_one_event_more_at_most(engine, sessions):
    revoke = RevokeSession(sessions)
    await revoke(ended())
    while await PostgresSessionCleaner(engine).forget(after_ms=0):
        pass

    decision = await revoke(ended())
    (message,) = await waiting(engine)  # the first has not been carried to Kafka

    assert decision.outcome is Outcome.REVOKED
    assert message.key == "sess_1"


async def test_a_session_event_waits_where_relays_of_the_release_before_do_not_look(engine, sessions):
    await RevokeSession(sessions)(ended())
    outbox = PostgresOutbox(engine)
    lanes = [*range(LANES), *(~lane for lane in range(LANES))]

    assert await outbox.oldest(lanes, 10) == []
    (pending,) = await outbox.oldest([session_lane(lane_of("sess_1"))], 10)
    await outbox.move_to_dead_letters([RefusedMessage(pending, "refused", attempts=1)])
    assert await waiting(engine) == []


async def test_an_operator_sees_what_waits_and_puts_a_dead_letter_back_where_it_was(engine, sessions):
    admin, outbox = PostgresOutboxAdmin(engine), PostgresOutbox(engine)
    await RevokeSession(sessions)(ended())
    status = await admin.status()
    (pending,) = await outbox.oldest([session_lane(lane_of("sess_1"))], 10)
    await outbox.move_to_dead_letters([RefusedMessage(pending, "refused", attempts=1)])
    (dead,) = await admin.dead(limit=10)
    repaired = await admin.retry([dead.id])

    assert (status.waiting, status.lanes[lane_of("sess_1")].waiting) == (1, 1)
    assert (dead.key, dead.version, dead.erased) == ("sess_1", 1, False)
    assert repaired == {dead.id: Repair.RETRIED}
    assert await outbox.oldest([session_lane(lane_of("sess_1"))], 10) == [pending]


@pytest.mark.one_server
@pytest.mark.parametrize("rows", [0, 20_000])
async def test_the_read_uses_both_keys_whatever_the_tables_looked_like_when_it_was_planned(database_url, rows):
    connection = await asyncpg.connect(
        database_url, server_settings={**BY_KEY, "plan_cache_mode": "force_generic_plan"}
    )
    await connection.execute(
        "INSERT INTO users (id, version, revision, email_verified, banned, locked)"
        " SELECT 'user_' || n, 1, 1, false, false, false FROM generate_series(1, $1::int) n",
        rows,
    )
    await connection.execute(
        "INSERT INTO revoked_session SELECT 'sess_' || n, 'user_' || n, now() FROM generate_series(1, $1::int) n", rows
    )
    await connection.execute(f"PREPARE read AS {READ_WITH_SESSIONS.sql}")
    plan = "\n".join(row[0] for row in await connection.fetch("EXPLAIN EXECUTE read ('{sess_1}', '{user_1}')"))
    await connection.close()

    assert "using users_pkey" in plan, plan
    assert "using revoked_session_pkey" in plan, plan
    assert "Index Cond: (id = ANY" in plan, plan
    assert "Index Cond: ((session_id = ANY" in plan, plan


def partial_sync(user_id: UserId):
    return partial(sync_user, snapshot=snapshot(user_id))
