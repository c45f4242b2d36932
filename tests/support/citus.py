"""A Citus cluster for the tests, and one database of it that they share."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
from sqlalchemy import text

from adapters.postgres.cluster import read_cluster
from adapters.postgres.connection.target import read_target
from adapters.postgres.distribute import distribute_at
from adapters.postgres.engine import create_engine
from adapters.postgres.migrate import migrate
from adapters.postgres.tables import DISTRIBUTED_BY
from support import servers

IMAGE = "citusdata/citus:13.2"
FROM_IMAGE = "image"
"""As TEST_CITUS_URL: run a cluster of the public image."""

_NEEDS = f"""make test-citus needs a Citus cluster. Either
  TEST_CITUS_URL=postgresql://user@coordinator/auth_test  a database whose whole content may be deleted, or
  a Docker daemon that has, or can pull, {IMAGE}."""
_PASSWORDLESS = {"POSTGRES_HOST_AUTH_METHOD": "trust", "POSTGRES_DB": "auth_test"}
_COMMAND = "-c listen_addresses=127.0.0.1 -c wal_level=logical -c max_connections=300 -c max_prepared_transactions=300"
_READY = ["pg_isready", "--host=127.0.0.1", "--username=postgres"]


@contextmanager
def cluster(wanted: str) -> Iterator[str]:
    """Give the URL of the coordinator: `wanted`, or that of a coordinator and two workers in containers."""
    if wanted != FROM_IMAGE:
        yield wanted
        return
    with ExitStack() as stack:
        try:
            yield stack.enter_context(_containers())
        except Exception as error:  # whatever docker-py has for "no daemon" and "no such image"
            if not type(error).__module__.startswith(("docker", "requests")):
                raise
            pytest.exit(f"{_NEEDS}\n({type(error).__name__}: {error})", returncode=2)


@contextmanager
def _containers() -> Iterator[str]:
    from testcontainers.core.container import DockerContainer  # noqa: PLC0415

    *workers, port = (servers.free_port() for _ in range(3))
    with ExitStack() as stack:
        for number in (*workers, port):
            # On the host's network, so that a server has one address for the others and for the tests.
            container = (
                DockerContainer(IMAGE).with_kwargs(network_mode="host").with_command(f"{_COMMAND} -c port={number}")
            )
            for variable, value in _PASSWORDLESS.items():
                container = container.with_env(variable, value)
            started = stack.enter_context(container).get_wrapped_container()
            deadline = time.monotonic() + 60
            while started.exec_run([*_READY, f"--port={number}"]).exit_code:
                if time.monotonic() > deadline:
                    raise TimeoutError(started.logs(tail=20).decode())
                time.sleep(0.2)
        members = [
            f"SELECT citus_set_coordinator_host('127.0.0.1', {port})",
            *(f"SELECT citus_add_node('127.0.0.1', {worker})" for worker in workers),
        ]
        psql = ["psql", "--username=postgres", f"--port={port}", "--dbname=auth_test", "--set=ON_ERROR_STOP=1"]
        done = started.exec_run([*psql, *(f"--command={member}" for member in members)])
        if done.exit_code:
            raise RuntimeError(done.output.decode())
        yield f"postgresql://postgres@127.0.0.1:{port}/auth_test"


async def prepare(url: str) -> None:
    """Migrate the database and distribute its tables."""
    target = read_target(url)
    if "test" not in (target.database or ""):
        pytest.exit("TEST_CITUS_URL: everything in that database is deleted: its name must have `test` in it", 2)
    engine = create_engine(target, pool_size=1, application_name="tests", statement_timeout_s=None)
    await migrate(engine)
    async with engine.begin() as connection:
        # Each session draws its numbers ahead: what comes later may have the lower one. Citus lets nobody say so later.
        cluster = await read_cluster(connection)
        if cluster and not cluster.tables:
            await connection.execute(text("ALTER SEQUENCE outbox_id_seq CACHE 100"))
    await engine.dispose()
    async for _ in distribute_at(target):
        pass


async def nodes(url: str) -> list[str]:
    """Return the URLs of the cluster's servers, the coordinator's first."""
    connection = await asyncpg.connect(url)
    try:
        members = await connection.fetch(
            "SELECT nodename || ':' || nodeport AS address FROM pg_dist_node"
            " WHERE noderole = 'primary' ORDER BY groupid"
        )
    finally:
        await connection.close()
    parts = urlsplit(url)
    user = f"{parts.netloc.rpartition('@')[0]}@" if "@" in parts.netloc else ""
    return [url, *(urlunsplit(parts._replace(netloc=f"{user}{member['address']}")) for member in members[1:])]


async def empty(url: str) -> None:
    """Leave the database as after `prepare`."""
    connection = await asyncpg.connect(url)
    try:
        for table in (*DISTRIBUTED_BY, "relay", "reconcile_checkpoint"):
            await connection.execute(f"DELETE FROM {table}")
        await connection.execute("UPDATE outbox_lane SET owner = NULL, lease_until = NULL, state_writer = NULL")
    finally:
        await connection.close()
