"""The database is a migration behind, read-only, full, does not let us in, or has a transaction that nobody ends."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from adapters.postgres.connection.target import read_target
from adapters.postgres.engine import create_engine
from adapters.postgres.migrate import migrate
from adapters.postgres.revisions import known_revisions
from support import servers
from support.certificates import make_certificates
from support.drill import until
from support.small_disk import full, small_disk

pytestmark = pytest.mark.faults


@pytest.fixture(scope="module", autouse=True)
async def stuck(postgres_address, template) -> AsyncIterator[tuple[str, float]]:
    """A database with a transaction that somebody forgot; it takes a minute to be old, in which the other tests run."""
    name = f"auth_stuck_{os.getpid()}"
    admin = await asyncpg.connect(postgres_address)
    await admin.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    url = urlunsplit(urlsplit(postgres_address)._replace(path=f"/{name}"))
    forgotten = await asyncpg.connect(url, server_settings={"application_name": "psql"})
    await forgotten.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
    await forgotten.execute("SELECT count(*) FROM users")
    yield url, time.monotonic()
    await forgotten.close()
    await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await admin.close()


def name_of(url: str) -> str:
    return urlsplit(url).path.removeprefix("/")


async def test_a_schema_one_migration_behind_is_named_everywhere(start, database_url, kafka_address, topic):
    behind, head = known_revisions()[-2:]
    engine = create_engine(read_target(database_url), pool_size=1, application_name="drill")
    await migrate(engine, behind)
    await engine.dispose()
    service = start(database_url, kafka_address, topic)
    status, causes = service.health()
    code, found = service.doctor()

    said = f"PostgreSQL: not migrated (the schema is at {behind}, this version expects {head})"
    assert (status, causes["database"]) == (503, said)
    assert code == 1
    assert found["schema"]["says"] == f"at {behind}, 1 behind {head}, which this version expects"
    assert found["schema"]["advice"] == "auth-service migrate"
    assert said in [line.get("cause") for line in service.logs()]
    assert 'auth_failures_total{cause="PostgreSQL: not migrated"}' in service.metrics()


async def test_a_database_that_became_read_only_is_named_everywhere(start, database_url, kafka_address, topic, sql):
    service = start(database_url, kafka_address, topic)
    assert service.webhook() == 200
    await sql.execute(f"ALTER DATABASE {name_of(database_url)} SET default_transaction_read_only = on")
    await sql.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
        "AND pid <> pg_backend_pid()"
    )
    refused = await asyncio.to_thread(service.webhook, at=1_700_000_001_000)
    await until(lambda: "lanes" in service.relay_health()[1])
    status, causes = service.health()
    code, found = service.doctor()

    assert refused == 503
    assert (status, causes["database"]) == (503, "PostgreSQL: read-only")
    assert service.relay_health()[0] == 503
    assert service.relay_health()[1]["lanes"] == "PostgreSQL: read-only (25006)"
    assert code == 1
    assert found["writes"]["says"] == "PostgreSQL: read-only (25006)"
    assert "default_transaction_read_only" in found["writes"]["advice"]
    said = [line.get("cause") for line in service.logs()]
    assert said.count("PostgreSQL: read-only (25006)") >= 2  # the webhook's line, and the relay's
    assert 'auth_failures_total{cause="PostgreSQL: read-only"}' in service.metrics()
    assert 'outbox_failures_total{cause="PostgreSQL: read-only"}' in service.metrics()

    await sql.execute("SET transaction_read_only = off")
    await sql.execute(f"ALTER DATABASE {name_of(database_url)} RESET default_transaction_read_only")
    await sql.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
        "AND pid <> pg_backend_pid()"
    )

    await until(lambda: service.health()[0] == 200)
    await until(lambda: service.relay_health()[0] == 200)


@pytest.fixture(scope="module")
def disk():
    with small_disk() as small:
        yield small


async def test_a_full_disk_is_named_everywhere(start, disk, kafka_address, topic):
    url = urlunsplit(urlsplit(disk.address)._replace(path="/auth"))
    admin = await asyncpg.connect(disk.address)
    await admin.execute("CREATE DATABASE auth")
    await admin.close()
    engine = create_engine(read_target(url), pool_size=1, application_name="drill")
    await migrate(engine)
    await engine.dispose()
    async with full(disk, url):
        service = start(url, kafka_address, topic)
        refused = await asyncio.to_thread(service.webhook)
        status, causes = service.health()
        code, found = service.doctor()

        assert refused == 503
        assert (status, causes["database"]) == (503, "PostgreSQL: disk full (53100)")
        assert code == 1
        assert found["writes"]["says"] == "PostgreSQL: disk full (53100)"
        assert "free disk space" in found["writes"]["advice"]
        assert "PostgreSQL: disk full (53100)" in [line.get("cause") for line in service.logs()]
        assert 'auth_failures_total{cause="PostgreSQL: disk full"}' in service.metrics()

    await until(lambda: service.health()[0] == 200)
    assert await asyncio.to_thread(service.webhook) == 200


async def test_a_refused_password_of_the_database_is_named_everywhere(start, database_url, kafka_address, topic, sql):
    role = f"{name_of(database_url)}_role"
    parts = urlsplit(database_url)
    wrong = urlunsplit(parts._replace(netloc=f"{role}:not-the-password@{parts.netloc.rpartition('@')[2]}"))
    await sql.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'right'")
    try:
        service = start(wrong, kafka_address, topic)
        refused = await asyncio.to_thread(service.webhook)
        status, causes = service.health()
        code, found = service.doctor()

        assert refused == 503
        assert (status, causes["database"]) == (503, "PostgreSQL: credentials refused (28P01)")
        assert code == 1
        assert found["database"]["says"] == "PostgreSQL: credentials refused (28P01)"
        assert "PostgreSQL: credentials refused (28P01)" in [line.get("cause") for line in service.logs()]
        assert 'auth_failures_total{cause="PostgreSQL: credentials refused"}' in service.metrics()
        await until(lambda: service.relay_health()[0] == 503)
        assert service.relay_health()[1]["lanes"] == "PostgreSQL: credentials refused (28P01)"
    finally:
        await sql.execute(f"DROP ROLE {role}")


@pytest.mark.parametrize("how", ["kill", "restart"])
async def test_a_database_that_is_lost_under_load_is_told_once_by_its_cause(start, kafka_address, topic, how):
    with servers.postgres() as server:
        engine = create_engine(read_target(server.address), pool_size=1, application_name="drill")
        await migrate(engine)
        await engine.dispose()
        service = start(server.address, kafka_address, topic)
        assert service.webhook() == 200
        stop = asyncio.Event()

        async def send(number: int) -> None:
            at = 1_700_000_001_000
            while not stop.is_set():
                at += 1
                await asyncio.to_thread(service.webhook, user=f"user_load{number}", at=at)

        async with asyncio.TaskGroup() as group:
            for number in range(4):
                group.create_task(send(number))
            await asyncio.sleep(1)
            await asyncio.to_thread(getattr(server, how))
            if how == "kill":
                await until(lambda: service.health()[0] == 503)
                await until(lambda: "lanes" in service.relay_health()[1])
                causes = service.health()[1], service.relay_health()[1]
                code, found = service.doctor()
                await asyncio.to_thread(server.start)
            await until(lambda: service.health()[0] == 200)
            await until(lambda: service.relay_health()[0] == 200)
            stop.set()

    said = service.serve.text() + service.relay.text()
    assert not [line for line in service.logs() if line["event"] == "unhandled_error"], said
    for trace in ("Traceback", "never retrieved", "was destroyed", "asyncio"):
        assert trace not in said
    if how == "kill":
        assert causes[0]["database"].startswith("PostgreSQL: out of reach")
        assert causes[1]["lanes"].startswith("PostgreSQL: out of reach")
        assert (code, found["database"]["says"][:24]) == (1, "PostgreSQL: out of reach")
        assert 'auth_failures_total{cause="PostgreSQL: out of reach"}' in service.metrics()


async def test_a_host_name_that_does_not_resolve_is_named_everywhere(start, database_url, kafka_address, topic):
    gone = urlunsplit(urlsplit(database_url)._replace(netloc="auth:seldom-seen-9K4w@db.example.invalid:5432"))
    service = start(gone, kafka_address, topic)
    refused = await asyncio.to_thread(service.webhook)
    status, causes = service.health()
    code, found = service.doctor()

    assert refused == 503
    assert (status, causes["database"]) == (503, "PostgreSQL: name not resolved (gaierror)")
    assert (code, found["database"]["says"]) == (1, "PostgreSQL: name not resolved (gaierror)")
    assert "DNS" in found["database"]["advice"]
    assert "PostgreSQL: name not resolved (gaierror)" in [line.get("cause") for line in service.logs()]
    assert 'auth_failures_total{cause="PostgreSQL: name not resolved"}' in service.metrics()


async def test_a_certificate_that_went_away_costs_no_webhook(start, database_url, kafka_address, topic, tmp_path):
    make_certificates(tmp_path)
    service = start(f"{database_url}?sslmode=verify-ca&sslrootcert={tmp_path}/ca.pem", kafka_address, topic)
    (tmp_path / "ca.pem").unlink()
    refused = await asyncio.to_thread(service.webhook)
    status, causes = service.health()

    assert refused == 503  # Clerk sends it again; after a 422 it would not
    assert status == 503
    assert causes["database"].startswith("PostgreSQL: configuration refused")


async def test_a_stuck_old_transaction_is_named_everywhere(start, stuck, kafka_address, topic):
    url, began = stuck
    await asyncio.sleep(max(0.0, began + 62 - time.monotonic()))
    service = start(url, kafka_address, topic)
    await until(lambda: "vacuum" in service.relay_health()[1])
    status, causes = service.health()
    code, found = service.doctor()

    assert status == 200
    assert "psql has blocked vacuum for " in causes["vacuum"]
    assert service.relay_health()[0] == 200
    assert code == 0
    assert service.doctor()[1]["vacuum"]["severity"] == "warning"
    assert "psql has blocked vacuum" in found["vacuum"]["says"]
    assert "pg_terminate_backend" in found["vacuum"]["advice"]
    [said] = service.relay.events("vacuum_blocked")
    assert "psql" in said["cause"]
    blocked = [line for line in service.metrics().splitlines() if line.startswith("outbox_vacuum_blocked_seconds ")]
    assert float(blocked[0].split()[1]) > 60
