"""How connections are opened: several hosts, TLS, and what is told when none will have us."""

import asyncio
import os
import socket
from urllib.parse import urlsplit

import asyncpg
import pytest

from adapters.postgres.asyncpg_execution import directly
from adapters.postgres.connection.dial import Dialer, is_behind_pooler
from adapters.postgres.connection.target import read_target
from adapters.postgres.engine import create_engine
from adapters.postgres.failures import DATABASE_ERRORS, Responsible, cause_of, fault_of
from adapters.postgres.health import check_database
from application.errors import StoreUnavailableError
from application.failure import Cause
from devkit.servers.ports import free_port
from devkit.servers.postgres import start_postgres
from support.certificates import make_certificates
from support.proxy import proxy


def hosts(url, *entries, query=""):
    """Return the URL with these hosts; `None` is its own."""
    to = urlsplit(url)
    own = to.netloc.rpartition("@")[2]
    return f"postgresql://{to.username}:{to.password}@{','.join(entry or own for entry in entries)}{to.path}{query}"


async def failure(url):
    engine = create_engine(read_target(url), pool_size=1, application_name="tests")
    try:
        await check_database(engine)
    except StoreUnavailableError as error:
        return error.failure.cause
    finally:
        await engine.dispose()
    return None


@pytest.fixture
def silent():
    """The address of a host that takes connections and never says a word."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield f"127.0.0.1:{listener.getsockname()[1]}"


async def test_a_host_that_is_away_or_silent_or_has_no_address_does_not_hide_the_next(database_url, silent):
    url = hosts(database_url, f"127.0.0.1:{free_port()}", silent, "no-such-host.invalid", None)
    began = asyncio.get_running_loop().time()

    assert await failure(url) is None
    assert asyncio.get_running_loop().time() - began < 5


async def test_of_several_hosts_the_one_that_takes_writes_is_used(database_url, tmp_path):
    to = urlsplit(database_url)
    standby = start_postgres(tmp_path / "standby", settings={"default_transaction_read_only": "on"})
    try:
        admin = await asyncpg.connect(standby.dsn)
        await admin.execute("SET transaction_read_only = off")
        await admin.execute("SET default_transaction_read_only = off")
        if to.username != "postgres":
            await admin.execute(f"CREATE ROLE {to.username} SUPERUSER LOGIN")
        await admin.execute(f"ALTER ROLE {to.username} PASSWORD '{to.password}'")
        await admin.execute(f"CREATE DATABASE {to.path[1:]}")
        await admin.close()
        there = f"127.0.0.1:{standby.port}"

        for query in ("", "?target_session_attrs=read-write", "?target_session_attrs=primary&sslmode=prefer"):
            url = hosts(database_url, there, None, query=query) if "primary" not in query else database_url + query
            assert await failure(url) is None
        assert await failure(hosts(database_url, there)) is Cause.READ_ONLY
        assert await failure(hosts(database_url, there, f"127.0.0.1:{free_port()}")) is Cause.NO_PRIMARY
        dial = Dialer(
            target=read_target(hosts(database_url, None, there, query="?target_session_attrs=prefer-standby")),
            application_name="tests",
            settings={},
        )
        connection = await dial()
        read_only = await connection.fetchval("SHOW default_transaction_read_only")
        assert read_only == "off"  # neither is a standby, so the first one is used
        await connection.close()
    finally:
        standby.stop()


async def test_parameters_reach_the_session_and_the_socket(database_url):
    url = f"{database_url}?application_name=mine&keepalives_idle=33&keepalives_count=4&options=-c%20work_mem%3D9MB"
    connection = await Dialer(target=read_target(url), application_name="ours", settings={})()
    said = await connection.fetchrow(
        "SELECT current_setting('application_name'), current_setting('work_mem'), current_setting('client_encoding')"
    )
    peer = connection.peer
    kept = [
        peer.getsockopt(*option)
        for option in (
            (socket.SOL_SOCKET, socket.SO_KEEPALIVE),
            (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE),
            (socket.IPPROTO_TCP, socket.TCP_KEEPCNT),
        )
    ]
    await connection.close()

    assert tuple(said) == ("mine", "9MB", "UTF8")
    assert kept == [1, 33, 4]


async def test_a_server_is_no_pooler_and_nothing_of_libpqs_environment_contradicts_the_url(database_url, monkeypatch):
    for name, value in {"PGHOST": "nowhere.invalid", "PGPORT": "1", "PGUSER": "nobody", "PGPASSWORD": "no"}.items():
        monkeypatch.setenv(name, value)
    connection = await Dialer(target=read_target(database_url), application_name="tests", settings={})()

    assert not is_behind_pooler(connection)
    await connection.close()


async def test_when_a_prepared_statement_is_lost_connections_do_without_from_then_on(database_url):
    """A pooler that lets the server's own process id through would show like this."""
    engine = create_engine(read_target(database_url), pool_size=2, application_name="tests")

    async def read(number):
        async with directly(engine) as driver:
            return await driver.fetchval("SELECT $1::int", number), is_behind_pooler(driver)

    before = await read(1)
    async with directly(engine) as driver:
        await driver.execute("DEALLOCATE ALL")
    with pytest.raises(DATABASE_ERRORS) as lost:
        await read(2)
    after = await read(3)
    await engine.dispose()

    assert (before, after) == ((1, False), (3, True))
    assert fault_of(lost.value) is Responsible.CONNECTION
    assert cause_of(lost.value) is Cause.POOLER


@pytest.mark.parametrize(
    ("host", "query", "expected"),
    [
        ("no-such-host.invalid", "", Cause.NAME_RESOLUTION),
        (None, "?sslmode=require", Cause.TLS),
        (None, "?sslmode=verify-full&sslrootcert=system", Cause.TLS),
        ("127.0.0.1:1", "", Cause.OUT_OF_REACH),
        ("silent", "?connect_timeout=1", Cause.NO_ANSWER),
    ],
)
async def test_why_no_connection_is_made_is_told_by_its_cause(database_url, silent, host, query, expected):
    if os.environ.get("TEST_DATABASE_URL") and query.startswith("?ssl"):
        pytest.fail("the server that is given may have TLS")
    url = hosts(database_url, silent if host == "silent" else host, query=query)

    assert await failure(url) is expected


async def test_a_certificate_that_vanished_is_the_configurations_fault_and_never_the_datas(database_url, tmp_path):
    make_certificates(tmp_path)
    url = f"{database_url}?sslmode=verify-full&sslrootcert={tmp_path / 'ca.pem'}"
    engine = create_engine(read_target(url), pool_size=1, application_name="tests")
    (tmp_path / "ca.pem").unlink()
    for connect in (directly, lambda engine: engine.connect()):
        with pytest.raises(DATABASE_ERRORS) as refused:
            async with connect(engine):
                pass
        assert fault_of(refused.value) is Responsible.DATABASE
        assert cause_of(refused.value) is Cause.CONFIGURATION
    await engine.dispose()


async def test_a_host_that_dies_after_the_login_does_not_hide_the_next(database_url):
    def die(_: int, data: bytes) -> None:
        if b"pg_walfile_name" in data:
            raise ConnectionResetError

    to = urlsplit(database_url)
    with proxy(to.hostname, to.port, tap=die) as dying:
        assert await failure(hosts(database_url, dying.address, None)) is None
        assert dying.connections
