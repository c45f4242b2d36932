"""Creates topics as they are defined, and adds partitions; nothing else of an existing topic is changed."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code
from faststream.security import BaseSecurity

from adapters.kafka import connectivity
from adapters.kafka.client_tasks import ClientTasks
from adapters.kafka.metadata import metadata_of
from anomalyze_auth.kafka.security import client_options
from application.errors import BrokerUnavailableError
from application.failure import Cause, Failure
from application.relay.topics import Topic, min_in_sync, replication_factor

_REQUEST_MS = 10_000
_POLL_S = 0.02


@asynccontextmanager
async def questioning(
    bootstrap_servers: Sequence[str], options: connectivity.Security
) -> AsyncIterator[tuple[AIOKafkaConnection, list[Failure]]]:
    """Open a connection to one broker; also return why others are out of reach. BrokerUnavailableError: all are."""
    server = await connectivity.answering(bootstrap_servers, options)
    try:
        async with asyncio.timeout(_REQUEST_MS / 1000), connectivity.connection_to(server, options) as connection:
            brokers = set((await metadata_of(connection.send)).brokers.values())
            away = await connectivity.out_of_reach(brokers, options)
            if len(away) == len(brokers):
                raise connectivity.unavailable(away)
            yield connection, away
    except (KafkaError, OSError) as error:  # TimeoutError is an OSError, and has no text
        raise await connectivity.why_unavailable(error, bootstrap_servers, options) from error


@asynccontextmanager
async def administering(
    bootstrap_servers: Sequence[str], security: BaseSecurity | None
) -> AsyncIterator[AIOKafkaAdminClient]:
    """Open an admin client for `_REQUEST_MS`; BrokerUnavailableError: no broker answers, or they refuse."""
    options = client_options(security)
    admin = AIOKafkaAdminClient(
        bootstrap_servers=[await connectivity.answering(bootstrap_servers, options)],
        request_timeout_ms=_REQUEST_MS,
        **options,
    )
    tasks = ClientTasks()
    try:
        async with asyncio.timeout(_REQUEST_MS / 1000):
            with tasks.owned():
                await admin.start()
            yield admin
    except (KafkaError, OSError) as error:
        raise await connectivity.why_unavailable(error, bootstrap_servers, options) from error
    finally:
        await tasks.close(admin.close())


async def create_topics(
    bootstrap_servers: Sequence[str],
    topics: Sequence[Topic],
    security: BaseSecurity | None,
    *,
    partitions: int | None = None,
    copies: int | None = None,
) -> list[str]:
    """Create the missing topics, as defined unless told otherwise, and return their names; BrokerUnavailableError."""
    async with (
        questioning(bootstrap_servers, client_options(security)) as (connection, _),
        administering(bootstrap_servers, security) as admin,
    ):
        known = await metadata_of(connection.send, [topic.name for topic in topics])
        # Unknown, not authorized or an invalid name: creating it returns the reason.
        missing = [topic for topic in topics if known.topics[topic.name].error_code]
        if not missing:
            return []
        answer = await admin.create_topics([_new(topic, len(known.brokers), partitions, copies) for topic in missing])
        created = []
        for name, code, message, *_ in answer.topic_errors:
            if code == 0:
                created.append(name)
            elif code != TopicAlreadyExistsError.errno:  # created by another client meanwhile
                raise refused(f"The topic {name} cannot be created", code, message)
        # The controller created them; this broker has them a moment later.
        while any(found.error_code for found in (await metadata_of(connection.send, created)).topics.values()):  # noqa: ASYNC110
            await asyncio.sleep(_POLL_S)
        return created


async def add_partitions(
    bootstrap_servers: Sequence[str], topic: str, security: BaseSecurity | None, *, partitions: int
) -> None:
    """Raise the topic to `partitions`, which moves keys; BrokerUnavailableError: no broker answers, or they refuse."""
    async with administering(bootstrap_servers, security) as admin:
        try:
            await admin.create_partitions({topic: NewPartitions(partitions)})
        except KafkaError as error:
            raise refused(f"The partitions of {topic} cannot be added", error.errno, None) from error
        # As with new topics, the brokers have them a moment later.
        while len((await admin.describe_topics([topic]))[0]["partitions"]) < partitions:  # noqa: ASYNC110
            await asyncio.sleep(_POLL_S)


def refused(what: str, code: int, message: str | None) -> BrokerUnavailableError:
    kind = for_code(code)
    cause = Cause.NOT_AUTHORIZED if "AuthorizationFailed" in kind.__name__ else Cause.OTHER
    return BrokerUnavailableError(f"{what}: {message or kind.__name__}", cause)


def _new(topic: Topic, brokers: int, partitions: int | None, copies: int | None) -> NewTopic:
    definition = topic.definition
    copies = copies or replication_factor(definition, brokers)
    settings = {setting.name: setting.value for setting in definition.settings}
    return NewTopic(
        topic.name,
        num_partitions=partitions or definition.partitions,
        replication_factor=copies,
        topic_configs={**settings, "min.insync.replicas": str(min_in_sync(copies))},
    )
