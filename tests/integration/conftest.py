"""One PostgreSQL and one Kafka for the whole run; a database and a topic of its own for each test."""

import asyncio
import itertools
import os
from collections.abc import AsyncIterator, Iterator
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from adapters.postgres.connection.target import read_target
from adapters.postgres.engine import create_engine
from adapters.postgres.migrate import migrate
from support import citus, servers, shared_servers
from support.clerk_stand_in import RunningStandIn, running_stand_in

_numbers = itertools.count(1)


CITUS = os.environ.get("TEST_CITUS_URL")
"""`make test-citus`: all tests share one database of a cluster, which is emptied before each."""


@pytest.fixture(scope="session")
def postgres_address(pytestconfig: pytest.Config) -> Iterator[str]:
    if CITUS:
        with citus.cluster(CITUS) as address:
            yield address
    elif servers.kind() == "given":
        yield os.environ["TEST_DATABASE_URL"]
    else:
        yield shared_servers.address(pytestconfig, "postgres")


@pytest.fixture(scope="session")
def kafka_address(pytestconfig: pytest.Config) -> str:
    if servers.kind() == "given":
        return os.environ["TEST_KAFKA_BOOTSTRAP_SERVERS"]
    return shared_servers.address(pytestconfig, "kafka")


@pytest.fixture(scope="session")
async def template(postgres_address: str) -> AsyncIterator[str]:
    """A migrated database that is copied for each test."""
    if CITUS:
        await citus.prepare(postgres_address)
        yield ""
        return
    name = f"auth_template_{os.getpid()}"
    await _admin(postgres_address, f"CREATE DATABASE {name}")
    engine = create_engine(read_target(in_database(postgres_address, name)), pool_size=1, application_name="tests")
    await migrate(engine)
    await engine.dispose()
    yield name
    await _admin(postgres_address, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
async def empty_database(postgres_address: str) -> AsyncIterator[str]:
    """The URL of a database without any table."""
    async for url in _database(postgres_address, ""):
        yield url


@pytest.fixture
async def database_url(postgres_address: str, template: str) -> AsyncIterator[str]:
    """The URL of a migrated database that nobody else uses."""
    if CITUS:
        await citus.empty(postgres_address)
        yield postgres_address
        return
    # By files: without fsync, a checkpoint costs less than the log of a whole database.
    async for url in _database(postgres_address, f"TEMPLATE {template} STRATEGY file_copy"):
        yield url


@pytest.fixture
async def topic(kafka_address: str) -> str:
    """A new topic with six partitions."""
    name = f"users-{os.getpid()}-{next(_numbers)}"
    await create_topic(kafka_address, name)
    return name


@pytest.fixture
def clerk_stand_in() -> Iterator[RunningStandIn]:
    """A Clerk without users, rate limits or faults, whose webhooks go nowhere until they are told where."""
    with running_stand_in() as clerk:
        yield clerk


async def create_topic(
    bootstrap_servers: str, name: str, *, partitions: int = 6, replicas: int = 1, **settings: str
) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    await admin.start()
    try:
        configs = {key.replace("_", "."): value for key, value in settings.items()}
        await admin.create_topics([NewTopic(name, partitions, replicas, topic_configs=configs)])
        # A broker may answer before it has heard of it itself. Asked for all topics, it tells of hundreds in the end.
        while (await admin.describe_topics([name]))[0]["error_code"]:
            await asyncio.sleep(0.02)
    finally:
        await admin.close()


def in_database(url: str, name: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


async def _database(address: str, how: str) -> AsyncIterator[str]:
    name = f"auth_test_{os.getpid()}_{next(_numbers)}"
    await _admin(address, f"CREATE DATABASE {name} {how}")
    yield in_database(address, name)
    await _admin(address, f"DROP DATABASE {name} WITH (FORCE)")


async def _admin(address: str, statement: str) -> None:
    connection = await asyncpg.connect(address)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
