"""Replicas when another server becomes the primary."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import asyncpg
import pytest

from adapters.postgres.connection.target import read_target
from application.failure import Cause
from application.users.replica import MAX_BEHIND_S, WhyPrimary, is_close
from support.replica_reads import because, in_use, reading
from support.standby import Cluster, Node, cluster
from support.users import USER


async def test_a_standby_that_is_promoted_is_not_read_any_more():
    with cluster() as running:
        [standby] = running.standbys
        async with reading(running.primary, standby) as reads:
            await reads.in_use_from_now()
            stale = await reads.write(first_name="both have it")
            running.wait_until_replayed()
            assert await reads.read() == stale
            standby.promote()
            await reads.write(first_name="the primary alone has it", banned=True)

            # At once, before the watch has noticed: the statement itself says that nothing is replayed.
            assert await reads.read() is None
            assert reads.reasons[-1] in (WhyPrimary.BEHIND, WhyPrimary.UNAVAILABLE)
            await reads.until(because(Cause.NOT_A_STANDBY))
            assert await reads.read() is None


async def test_a_standby_that_still_follows_the_former_primary_is_not_read_however_recent_it_looks():
    with cluster(standbys=2) as running:
        former, (promoted, left) = running.primary, running.standbys
        async with reading(former, left) as reads:
            await reads.in_use_from_now()
            lost = await reads.write(first_name="all have it")
            running.wait_until_replayed()
            assert await reads.read() == lost
        promoted.promote()
        async with reading(promoted, left) as reads, kept_busy(former):
            written = await reads.write(first_name="the new primary alone has it", banned=True)
            await reads.until(because(Cause.OTHER_TIMELINE))
            until = time.monotonic() + MAX_BEHIND_S + 1
            while time.monotonic() < until:  # it never stops to look recent
                assert await reads.read() is None
                assert await reads.read(written.version) is None
                await asyncio.sleep(0.1)
            [replica] = reads.replicas._replicas
            found = await replica.reader.signed_in(USER, None)
            assert (found.user, is_close(found.behind_s)) == (lost, True)


@pytest.mark.parametrize("sees_statistics", [True, False])
async def test_a_standby_that_follows_the_new_primary_comes_back_by_itself(sees_statistics):
    with cluster(standbys=2) as running:
        former, (promoted, left) = running.primary, running.standbys
        former.sql("CREATE ROLE reader LOGIN PASSWORD 'x'")
        if sees_statistics:
            former.sql("GRANT pg_read_all_stats TO reader")
        reader = read_target(f"postgresql://reader:x@{left.address}/postgres")
        async with reading(former, left, replica=reader) as reads:
            former.sql("GRANT SELECT ON users, revoked_session TO reader")
            await reads.in_use_from_now()
        running.wait_until_replayed()
        former.kill()
        promoted.promote()
        follow(left, promoted)
        async with reading(promoted, left, replica=reader) as reads:
            if not sees_statistics:
                await reads.until(because(Cause.OTHER_TIMELINE))
                promoted.sql("CHECKPOINT")
                Cluster(promoted, [left]).wait_until_replayed()
                left.sql("CHECKPOINT")
            await reads.until(in_use, within=30)
            written = await reads.write()
            Cluster(promoted, [left]).wait_until_replayed()
            assert await reads.read(written.version) == written


@asynccontextmanager
async def kept_busy(node: Node) -> AsyncIterator[None]:
    """Commit there all the time, as another application of the same server does."""

    async def commit() -> None:
        connection = await asyncpg.connect(node.url)
        try:
            while True:
                await connection.execute("SELECT pg_current_xact_id()")
                await asyncio.sleep(0.05)
        finally:
            connection.terminate()

    committing = asyncio.create_task(commit())
    try:
        yield
    finally:
        committing.cancel()
        await asyncio.wait([committing])


def follow(standby: Node, primary: Node) -> None:
    """Make a standby of the former primary follow its successor."""
    to = urlsplit(primary.url)
    conninfo = f"host={to.hostname} port={to.port} user={to.username} password={to.password}"
    standby.sql(f"ALTER SYSTEM SET primary_conninfo = '{conninfo}'")
    standby.sql("SELECT pg_reload_conf()")
