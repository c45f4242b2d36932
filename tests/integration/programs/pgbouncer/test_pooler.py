"""A transaction pooler that nobody announced, and what cannot be had behind one."""

import asyncio
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy import text

from adapters.kafka.cloudevents import encode
from adapters.postgres.asyncpg_execution import directly
from adapters.postgres.connection.target import read_target
from adapters.postgres.doctor import examine_database, try_writing
from adapters.postgres.engine import create_engine
from adapters.postgres.health import check_database
from adapters.postgres.migrate import migrate
from adapters.postgres.outbox import INDEX_PLANS, PostgresOutbox
from adapters.postgres.user_store import PostgresUserStore
from application.errors import StoreUnavailableError
from application.failure import Cause
from application.relay.lanes import LANES
from domain.sync_user import sync_user
from domain.user import UserId
from support.certificates import make_certificates
from support.pgbouncer import IGNORING, pgbouncer
from support.users import snapshot

pytestmark = pytest.mark.programs

AUTH_SERVICE = Path(sys.executable).with_name("auth-service")
POOLERS = pytest.mark.parametrize("settings", [{}, IGNORING], ids=["refuses", "ignores"])


@POOLERS
async def test_whatever_connects_works_behind_a_pooler_that_nobody_announced(database_url, settings):
    with pgbouncer(database_url, **settings) as pooled:
        engine = create_engine(read_target(pooled), pool_size=4, application_name="tests", settings=INDEX_PLANS)
        store = PostgresUserStore(engine, encode, lambda _: None)
        outbox = PostgresOutbox(engine)
        await store.start()

        async def send(number: int) -> None:
            for at in range(1000, 1005):
                news = snapshot(UserId(f"user_{number}"), at=at, first_name=f"{at}")
                await store.change(news.id, partial(sync_user, snapshot=news))
                await asyncio.gather(check_database(engine), outbox.oldest(range(LANES), 10))

        await asyncio.gather(*(send(number) for number in range(16)))
        facts = await examine_database(engine)
        await try_writing(engine)
        batch = await outbox.oldest(range(LANES), 1000)
        await outbox.delete(batch)
        left = await outbox.oldest(range(LANES), 10)
        await store.aclose()
        await engine.dispose()

    assert len(batch) == 80
    assert left == []
    assert facts.pooled


@POOLERS
async def test_migrate_through_a_pooler_that_nobody_announced(empty_database, settings, tmp_path):
    with pgbouncer(empty_database, **settings) as pooled:
        done = await asyncio.to_thread(
            subprocess.run,
            [AUTH_SERVICE, "migrate"],
            env={"DATABASE_URL": pooled, "HOME": str(tmp_path)},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        engine = create_engine(read_target(empty_database), pool_size=1, application_name="tests")
        await check_database(engine)
        await engine.dispose()

    assert (done.returncode, done.stderr) == (0, "")


@POOLERS
async def test_a_schema_behind_a_pooler_is_told_and_never_another_one_used(empty_database, settings):
    with pgbouncer(empty_database, **settings) as pooled:
        engine = create_engine(read_target(f"{pooled}?schema=auth"), pool_size=1, application_name="tests")
        for step in (migrate, check_database):
            with pytest.raises(StoreUnavailableError, match="configuration refused") as refused:
                await step(engine)
            assert refused.value.failure.cause is Cause.CONFIGURATION
        await engine.dispose()
        connection = await asyncpg.connect(empty_database)
        tables = await connection.fetchval(
            "SELECT count(*) FROM pg_tables WHERE schemaname NOT LIKE ALL ('{pg%,inf%}')"
        )
        await connection.close()

    assert tables == 0


@pytest.mark.parametrize("query", ["pgbouncer=false", "options=-cwork_mem%3D8MB"])
async def test_a_pooler_that_refuses_what_was_asked_for_is_recognised(database_url, query):
    with pgbouncer(database_url) as pooled:
        engine = create_engine(read_target(f"{pooled}?{query}"), pool_size=1, application_name="tests")
        with pytest.raises(StoreUnavailableError) as refused:
            await check_database(engine)
        await engine.dispose()

    assert refused.value.failure.cause is Cause.POOLER


async def test_a_pooler_in_session_mode_may_be_said_to_be_none(database_url):
    with pgbouncer(database_url, pool_mode="session", **IGNORING) as pooled:
        engine = create_engine(read_target(f"{pooled}?pgbouncer=false"), pool_size=1, application_name="tests")
        facts = await examine_database(engine)
        async with directly(engine) as driver:
            await driver.fetch("SELECT 1")
            prepared = await driver.fetchval("SELECT count(*) FROM pg_prepared_statements")
        async with engine.begin() as connection:
            await connection.execute(text("SELECT 1"))
        await engine.dispose()

    assert not facts.pooled
    assert prepared > 0


@pytest.mark.parametrize(
    ("change", "failure"),
    [
        ({"path": "/nowhere"}, Cause.NO_DATABASE),
        ({"password": "wrong"}, Cause.NOT_AUTHENTICATED),
        ({"settings": {"max_client_conn": "1"}}, Cause.TOO_MANY_CONNECTIONS),
    ],
    ids=["database", "password", "connections"],
)
async def test_what_pgbouncer_says_itself_is_told_as_what_it_is(database_url, change, failure):
    with pgbouncer(database_url, **change.get("settings", {})) as pooled:
        holder = await asyncpg.connect(pooled, statement_cache_size=0)
        url = pooled.rpartition("/")[0] + change["path"] if "path" in change else pooled
        if "password" in change:
            url = f"postgresql://postgres:{change['password']}@{pooled.rpartition('@')[2]}"
        engine = create_engine(read_target(url), pool_size=1, application_name="tests")
        with pytest.raises(StoreUnavailableError) as refused:
            await check_database(engine)
        await engine.dispose()
        await holder.close()

    assert refused.value.failure.cause is failure


@pytest.mark.parametrize(
    ("host", "query", "expected"),
    [
        ("localhost", "sslmode=verify-full&sslrootcert={}/ca.pem", None),
        ("127.0.0.1", "sslmode=verify-ca&sslrootcert={}/ca.pem", None),
        ("127.0.0.1", "sslmode=require", None),
        ("127.0.0.1", "sslmode=prefer", None),
        ("127.0.0.1", "", None),
        ("127.0.0.1", "sslmode=allow", None),
        ("127.0.0.1", "sslmode=verify-full&sslrootcert={}/ca.pem", Cause.TLS),
        ("localhost", "sslmode=verify-full&sslrootcert={}/other.pem", Cause.TLS),
        ("localhost", "sslmode=require&sslrootcert={}/other.pem", Cause.TLS),
        ("localhost", "sslrootcert=system", Cause.TLS),
        ("localhost", "sslmode=require&ssl_max_protocol_version=TLSv1.2&ssl_min_protocol_version=TLSv1.2", None),
    ],
)
async def test_tls_is_what_was_asked_for(database_url, tmp_path, host, query, expected):
    make_certificates(tmp_path)
    for path in (tmp_path, *tmp_path.parents):
        if path.is_relative_to(tempfile.gettempdir()) and str(path) != tempfile.gettempdir():
            path.chmod(0o755)
    for name in ("server.key", "server.pem"):
        (tmp_path / name).chmod(0o644)  # PgBouncer runs as somebody else
    settings = {
        "client_tls_sslmode": "require",
        "client_tls_key_file": str(tmp_path / "server.key"),
        "client_tls_cert_file": str(tmp_path / "server.pem"),
    }
    with pgbouncer(database_url, **settings) as pooled:
        url = f"{pooled.replace('127.0.0.1', host)}?{query.format(tmp_path)}"
        engine = create_engine(read_target(url), pool_size=1, application_name="tests")
        try:
            await check_database(engine)
            failure = None
        except StoreUnavailableError as error:
            failure = error.failure.cause
        await engine.dispose()

    assert failure is expected
