"""Replicas as they are found: following, paused, killed, frozen, promoted, of another cluster."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from functools import partial

import pytest

from adapters.kafka.cloudevents import encode
from adapters.postgres.connection.dial import STATEMENT_TIMEOUT_S
from adapters.postgres.connection.target import read_target
from adapters.postgres.engine import create_engine
from adapters.postgres.migrate import migrate
from adapters.postgres.replica import READ_LIMIT_S, examine_replicas
from adapters.postgres.session_store import PostgresSessionStore
from adapters.postgres.user_directory import PostgresUserDirectory
from application.errors import StoreUnavailableError
from application.failure import Cause
from application.sessions.revoke_session import RevokeSession
from application.users.replica import MAX_BEHIND_S, WhyPrimary
from domain.delete_user import delete_user
from domain.session import RevokedSession, SessionId
from domain.user import Tombstone, UserId
from support.replica_reads import Reads, because, in_use, reading
from support.standby import Cluster, cluster
from support.statements import statements
from support.users import USER, deletion

SESSION = SessionId("sess_1")


@pytest.fixture(scope="module")
def shared() -> Iterator[Cluster]:
    """For tests that leave it as it was."""
    with cluster() as running:
        yield running


@pytest.fixture
def breakable(shared: Cluster) -> Iterator[Cluster]:
    """For tests that kill or freeze its standby."""
    yield shared
    shared.standbys[0].repair()


@pytest.fixture
async def reads(shared: Cluster) -> AsyncIterator[Reads]:
    async with reading(shared.primary, *shared.standbys) as started:
        await started.in_use_from_now()
        shared.wait_until_replayed()
        yield started


async def test_a_standby_that_follows_is_read_and_the_primary_is_not(reads, shared):
    written = await reads.write()
    shared.wait_until_replayed()

    async with statements(reads.primary._engine) as at_primary:
        assert await reads.read(written.version) == written

    assert [statement for statement in at_primary if "users" in statement] == []
    assert reads.reasons == [None]
    assert reads.told == []


async def test_a_reading_is_one_statement_and_concurrent_readings_share_it(reads, shared):
    await reads.write()
    shared.wait_until_replayed()
    [replica] = reads.replicas._replicas

    async with statements(replica.engine) as alone:
        await reads.read()
    async with statements(replica.engine) as together:
        await asyncio.gather(*(reads.read() for _ in range(100)))

    assert len([statement for statement in alone if "users" in statement]) == 1
    assert len([statement for statement in together if "users" in statement]) <= 3


async def test_what_is_read_there_is_what_the_primary_has(reads, shared):
    await reads.write()
    other = UserId("user_other")
    await reads.write(other, email="Grace@example.org")
    await reads.store.change(UserId("user_gone"), partial(delete_user, deletion=deletion(UserId("user_gone"))))
    engine = reads.primary._engine
    sessions = PostgresSessionStore(engine, encode, lambda _: None)
    await sessions.start()
    await RevokeSession(sessions)(RevokedSession(id=SESSION, user_id=USER, revoked_at=1))
    await sessions.aclose()
    shared.wait_until_replayed()
    directory = PostgresUserDirectory(engine)
    ids = [USER, other, UserId("user_gone"), UserId("user_never_seen")]

    found = await reads.replicas.signed_in(USER, SESSION)
    assert (found.user, found.revoked) == (await reads.primary.get(USER), True)
    assert not (await reads.replicas.signed_in(USER, SessionId("sess_2"))).revoked
    users, behind_s = await reads.replicas.get_many(ids)
    assert users == await directory.get_many(ids)
    assert isinstance(users[UserId("user_gone")], Tombstone)
    assert behind_s is not None
    assert behind_s < MAX_BEHIND_S
    by_email, _ = await reads.replicas.by_email("grace@EXAMPLE.org", limit=10)
    assert by_email == await directory.by_email("grace@EXAMPLE.org", limit=10)
    assert [user.id for user in by_email] == [other]
    assert await reads.replicas.by_email("no\0body@example.org", limit=10) == ([], None)


async def test_a_paused_standby_answers_what_the_caller_may_have_and_nothing_older(reads, shared):
    [standby] = shared.standbys
    before = await reads.write(first_name="before")
    shared.wait_until_replayed()
    standby.pause_replay()
    try:
        after = await reads.write(first_name="after")

        assert await reads.read(before.version) == before
        assert await reads.read(after.version) is None
        assert reads.reasons == [None, WhyPrimary.BELOW_FLOOR]
        await reads.until(because(Cause.TOO_FAR_BEHIND))
        assert await reads.read() is None
    finally:
        standby.resume_replay()
    await reads.until(in_use)
    assert await reads.read(after.version) == after
    assert [failure and failure.cause for _, failure in reads.told] == [Cause.TOO_FAR_BEHIND, None]


async def test_a_standby_of_an_idle_primary_stays_in_use(reads):
    await asyncio.sleep(MAX_BEHIND_S + 2)

    assert reads.told == []
    assert (await reads.replicas.signed_in(USER, SESSION)).behind_s < MAX_BEHIND_S


async def test_the_primary_among_the_addresses_is_left_out(shared):
    [standby] = shared.standbys
    async with reading(shared.primary, shared.primary, standby) as reads:
        async with asyncio.timeout(60):
            while reads.replicas.failures[standby.address] is not None or not reads.told:
                await asyncio.sleep(0.02)

        async with statements(reads.primary._engine) as at_primary:
            for _ in range(20):
                await reads.read()

        assert not [statement for statement in at_primary if "revoked_session" in statement]
        assert [(name, failure.cause) for name, failure in reads.told] == [
            (shared.primary.address, Cause.NOT_A_STANDBY)
        ]


async def test_a_standby_that_is_killed_costs_no_answer_and_comes_back_by_itself(breakable):
    [standby] = breakable.standbys
    async with reading(breakable.primary, standby) as reads:
        await reads.in_use_from_now()
        await reads.write()
        breakable.wait_until_replayed()
        assert await reads.read() is not None
        standby.kill()
        assert await asyncio.gather(*(reads.read() for _ in range(50))) == [None] * 50
        standby.start()
        await reads.until(in_use)
        breakable.wait_until_replayed()
        assert await reads.read() is not None

        assert [failure is None for _, failure in reads.told] == [False, True]


async def test_a_frozen_standby_costs_one_short_wait_and_comes_back_by_itself(breakable):
    [standby] = breakable.standbys
    async with reading(breakable.primary, standby, limit_s=READ_LIMIT_S) as reads:
        await reads.in_use_from_now()
        await reads.write()
        breakable.wait_until_replayed()
        standby.freeze()
        # Less than the time limit of a statement, and once for all of them.
        async with asyncio.timeout(STATEMENT_TIMEOUT_S - 0.5):
            assert await asyncio.gather(*(reads.read() for _ in range(50))) == [None] * 50
        async with asyncio.timeout(STATEMENT_TIMEOUT_S - 0.5):  # none of them waits again
            assert [await reads.read() for _ in range(50)] == [None] * 50
        await asyncio.sleep(3)  # the watch meets it frozen
        assert await reads.read() is None
        standby.thaw()
        await reads.until(in_use)
        assert await reads.read() is not None

        in_turn = [failure is None for _, failure in reads.told]
        assert in_turn == [False, True] * (len(in_turn) // 2)
        assert len(in_turn) <= 4  # a busy machine may freeze it once more


async def test_one_of_two_standbys_is_enough():
    with cluster(standbys=2) as running:
        first, second = running.standbys
        async with reading(running.primary, first, second) as reads:
            await reads.in_use_from_now()
            await reads.write()
            running.wait_until_replayed()
            one, two = reads.replicas._replicas
            async with statements(one.engine) as at_first, statements(two.engine) as at_second:
                for _ in range(10):
                    await reads.read()
            read_at = [sum("users" in statement for statement in seen) for seen in (at_first, at_second)]
            assert min(read_at) >= 5
            first.kill()
            for _ in range(2):  # one of them finds out
                await reads.read()

            for _ in range(10):
                assert await reads.read() is not None


async def test_a_standby_of_another_cluster_is_not_read(shared):
    with cluster() as other:
        engine = create_engine(read_target(other.primary.url), pool_size=1, application_name="tests")
        await migrate(engine)
        await engine.dispose()
        other.wait_until_replayed()
        async with reading(shared.primary, *other.standbys) as reads:
            await reads.until(because(Cause.OTHER_CLUSTER))

            with pytest.raises(StoreUnavailableError):
                await reads.replicas.signed_in(USER, SESSION)


async def test_a_role_without_rights_is_told_as_such(shared):
    shared.primary.sql("CREATE ROLE stranger LOGIN PASSWORD 'x'")
    [standby] = shared.standbys
    engine = create_engine(read_target(shared.primary.url), pool_size=1, application_name="tests")
    try:
        await migrate(engine)
        shared.wait_until_replayed()
        target = read_target(f"postgresql://stranger:x@{standby.address}/postgres")
        [failure] = (await examine_replicas(target, engine)).values()
    finally:
        await engine.dispose()
        shared.primary.sql("DROP ROLE stranger")

    assert failure.cause is Cause.NOT_AUTHORIZED
