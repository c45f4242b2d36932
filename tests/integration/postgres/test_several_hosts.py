"""Several servers behind one name or several: which of them is used, and which is refused."""

import asyncio
import socket
from urllib.parse import urlsplit

import asyncpg
import pytest

from adapters.postgres.connection.dial import Dialer
from adapters.postgres.connection.route import NO_PRIMARY_S, NoPrimaryError
from adapters.postgres.connection.target import read_target
from devkit.servers.postgres import start_postgres


@pytest.fixture(scope="module")
async def servers(tmp_path_factory):
    """Two servers with one port, at two addresses; the first takes no writes."""
    folder = tmp_path_factory.mktemp("servers")
    read_only = {"listen_addresses": "127.0.0.2", "default_transaction_read_only": "on"}
    first = start_postgres(folder / "first", settings=read_only)
    second = start_postgres(folder / "second", port=first.port)
    admin = await asyncpg.connect(first.dsn.replace("127.0.0.1", "127.0.0.2"))
    await admin.execute("SET default_transaction_read_only = off")
    await admin.execute(f"ALTER ROLE postgres PASSWORD '{urlsplit(second.dsn).password}'")
    await admin.close()
    yield second.dsn
    first.stop()
    second.stop()


@pytest.fixture
async def pg_test(monkeypatch):
    """A name with two addresses; what is faked is the name server."""
    loop = asyncio.get_running_loop()
    real = loop.getaddrinfo

    async def getaddrinfo(host, port, **options):
        if host != "pg.test":
            return await real(host, port, **options)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in ("127.0.0.2", "127.0.0.1")]

    monkeypatch.setattr(loop, "getaddrinfo", getaddrinfo)


def dialer(url: str) -> Dialer:
    return Dialer(target=read_target(url), application_name="tests", settings={})


async def address_of(dial: Dialer) -> str:
    connection = await dial()
    try:
        return await connection.fetchval("SELECT host(inet_server_addr())")
    finally:
        await connection.close()


@pytest.mark.parametrize(
    ("query", "address"),
    [
        ("?target_session_attrs=read-write", "127.0.0.1"),
        ("?target_session_attrs=read-only", "127.0.0.2"),
        ("?target_session_attrs=primary", "127.0.0.2"),  # it is no standby; that it takes no writes is another question
        ("", "127.0.0.2"),
    ],
)
async def test_every_address_of_a_name_is_asked(servers, pg_test, query, address):
    assert await address_of(dialer(servers.replace("@127.0.0.1", "@pg.test") + query)) == address


async def test_in_any_order_every_address_of_a_name_is_used(servers, pg_test):
    dial = dialer(servers.replace("@127.0.0.1", "@pg.test") + "?load_balance_hosts=random")

    assert {await address_of(dial) for _ in range(30)} == {"127.0.0.1", "127.0.0.2"}


async def test_none_that_is_wanted_is_told_host_by_host(servers):
    to = urlsplit(servers)
    url = servers.replace(f"@127.0.0.1:{to.port}", f"@127.0.0.2:{to.port},127.0.0.1:1,no-such-host.invalid")
    with pytest.raises(NoPrimaryError) as refused:
        await dialer(url)()

    assert sorted(str(refused.value).split(", ")) == [
        "127.0.0.1:1: connection refused",
        f"127.0.0.2:{to.port}: takes no writes",
        "no-such-host.invalid:5432: name not resolved",
    ]


async def test_a_server_without_a_free_connection_says_nothing_of_the_others(servers, pg_test):
    """A standby may be full of readers, and a former primary of connections that nobody has closed."""
    for address, limit in (("127.0.0.2", 0), ("127.0.0.1", -1)):
        admin = await asyncpg.connect(servers.replace("127.0.0.1", address))
        await admin.execute("SET default_transaction_read_only = off")
        await admin.execute(f"CREATE ROLE app LOGIN PASSWORD 'x' CONNECTION LIMIT {limit}")
        await admin.close()
    port = urlsplit(servers).port
    url = f"postgresql://app:x@127.0.0.2:{port},127.0.0.1:{port}/postgres"

    assert await address_of(dialer(url)) == "127.0.0.1"
    assert await address_of(dialer(f"postgresql://app:x@pg.test:{port}/postgres?target_session_attrs=read-write")) == (
        "127.0.0.1"
    )
    with pytest.raises(asyncpg.TooManyConnectionsError):  # it may be the primary
        await dialer(f"postgresql://app:x@127.0.0.2:{port},127.0.0.1:1/postgres")()


async def test_a_server_that_another_was_promoted_over_is_refused(servers):
    to = urlsplit(servers)
    dial = dialer(servers.replace(f"@127.0.0.1:{to.port}", f"@127.0.0.1:{to.port},127.0.0.1:1"))
    assert await address_of(dial) == "127.0.0.1"
    system, timeline = dial.route.timeline
    assert timeline == 1
    dial.route.timeline = (system, 2)  # as after a connection to its successor

    with pytest.raises(NoPrimaryError, match="was the primary before another was promoted"):
        await dial()
    dial.route.timeline = ("another", 2)  # a cluster that was made anew begins at 1
    with pytest.raises(NoPrimaryError):
        await dial()  # believed for a moment: not every request logs in at every host
    await asyncio.sleep(NO_PRIMARY_S)
    assert await address_of(dial) == "127.0.0.1"


async def test_an_unanswered_statement_is_abandoned_with_its_connection_and_the_server_is_not_told(servers):
    dial = dialer(servers)
    dial.statement_timeout_s = 1.0  # as long as it may take to connect
    connection = await dial()
    await connection.execute("SET statement_timeout = 0")
    process_id = connection.get_server_pid()
    other = await asyncpg.connect(servers)
    try:
        with pytest.raises(TimeoutError):
            await connection.execute("SELECT pg_sleep(60)")
        assert connection.is_closed()
        assert dial.route.abandoned == {process_id}
        running = "SELECT state FROM pg_stat_activity WHERE pid = $1"
        assert await other.fetchval(running, process_id) == "active"

        await dial.route.require_standby(other)  # it waits for none

        assert dial.route.abandoned == set()
    finally:
        await other.close()
