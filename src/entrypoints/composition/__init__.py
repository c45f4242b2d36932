"""The composition root: which adapter fills which port. Nothing else knows."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext
from typing import Any

from attrs import AttrsInstance, fields_dict
from dependency_injector.containers import DeclarativeContainer
from dependency_injector.providers import Dependency, Factory, Object, Provider, Singleton

from anomalyze_auth import KeySource
from application.reconcile.drift import LivingUsers
from application.reconcile.options import Checkpoints
from application.reconcile.run import Reconcile
from application.relay.fill_state import FillState
from application.relay.lane_leases import LaneLeases
from application.relay.messages import Outbox
from application.relay.relay_events import RelayEvents
from application.relay.relay_state import RelayEventsAndState
from application.relay.state_topic import StateLanes
from application.users.delete_user import DeleteUser
from application.users.get_current_user import GetCurrentUser
from application.users.get_user import GetUser
from application.users.just_in_time import JustInTimeSync
from application.users.list_users import ListUsers
from application.users.manage_users import ManageUsers
from application.users.ports import ClerkUsers, UserDirectory, UserReader, UserStore, WebhookReader
from application.users.receive_webhook import ReceiveWebhook
from application.users.sync_user import SyncUser
from entrypoints.composition import clerk_adapters, kafka_adapters, postgres_adapters
from entrypoints.config.settings import (
    ClerkApiSettings,
    DatabaseSettings,
    KafkaSettings,
    ManagementSettings,
    TokenSettings,
    WebhookSettings,
)


class Container(DeclarativeContainer):
    """What a process is made of; `container_for` fills the groups of settings that its command has."""

    database: Dependency[DatabaseSettings] = Dependency(instance_of=DatabaseSettings)
    webhooks: Dependency[WebhookSettings] = Dependency(instance_of=WebhookSettings)
    tokens: Dependency[TokenSettings] = Dependency(instance_of=TokenSettings)
    clerk_api: Dependency[ClerkApiSettings] = Dependency(instance_of=ClerkApiSettings)
    management: Dependency[ManagementSettings] = Dependency(instance_of=ManagementSettings)
    kafka: Dependency[KafkaSettings] = Dependency(instance_of=KafkaSettings)

    now_ms: Provider[Callable[[], int]] = Object(lambda: time.time_ns() // 1_000_000)

    engine = Singleton(postgres_adapters.engine, database)
    outbox_wake = Singleton(postgres_adapters.outbox_wake, engine)
    around_batch: Provider[Any] = Object(lambda _: nullcontext())
    """`adapters.postgres.user_store.AroundBatch`; the traces have their own."""
    user_store: Provider[UserStore] = Singleton(postgres_adapters.user_store, engine, outbox_wake, around_batch)
    user_reader: Provider[UserReader] = Singleton(postgres_adapters.user_reader, engine)
    user_directory: Provider[UserDirectory] = Singleton(postgres_adapters.user_directory, engine)
    living_users: Provider[LivingUsers] = Singleton(postgres_adapters.living_users, engine)
    checkpoints: Provider[Checkpoints] = Singleton(postgres_adapters.checkpoints, engine)
    migrate = Singleton(postgres_adapters.migrate, database)
    check_database = Singleton(postgres_adapters.check_database, engine)
    database_load = Singleton(postgres_adapters.database_load, engine, user_store)

    webhook_reader: Provider[WebhookReader] = Singleton(clerk_adapters.webhook_reader, webhooks)
    backend = Singleton(clerk_adapters.backend, clerk_api)
    identities: Provider[ClerkUsers] = Singleton(clerk_adapters.identities, backend, now_ms)
    hasty_identities: Provider[ClerkUsers] = Singleton(clerk_adapters.hasty_identities, backend, now_ms)
    session_keys: Provider[KeySource] = Singleton(clerk_adapters.session_keys, tokens, clerk_api)
    session_verifier = Singleton(clerk_adapters.session_verifier, session_keys, tokens)
    request_verifier = Singleton(clerk_adapters.request_verifier, session_verifier, tokens)

    relay_engine = Singleton(postgres_adapters.relay_engine, database)
    outbox: Provider[Outbox] = Singleton(postgres_adapters.outbox, relay_engine)
    outbox_admin = Singleton(postgres_adapters.outbox_admin, engine)
    examine_database = Singleton(postgres_adapters.examine_database, engine)
    try_writing = Singleton(postgres_adapters.try_writing, engine)
    examine_topics = Singleton(kafka_adapters.examine_topics, kafka)
    examine_clerk = Singleton(clerk_adapters.examine_clerk)
    lane_leases: Provider[LaneLeases] = Singleton(postgres_adapters.lane_leases, relay_engine)
    publisher = Singleton(kafka_adapters.publisher, kafka)
    wake_listener = Factory(postgres_adapters.wake_listener, database)
    state_publisher = Singleton(kafka_adapters.state_publisher, kafka)
    state_lanes: Provider[StateLanes] = Singleton(postgres_adapters.state_lanes, relay_engine)
    relay_events = Factory(RelayEvents, outbox=outbox, publisher=publisher)
    relay_events_and_state = Factory(
        RelayEventsAndState, outbox=outbox, publisher=publisher, state=state_publisher, lanes=state_lanes
    )
    fill_state = Factory(FillState, Singleton(postgres_adapters.state_fill, engine))

    tail_topic = Singleton(kafka_adapters.tail_topic, kafka)
    create_topics = Singleton(kafka_adapters.create_topics, kafka)
    add_partitions = Singleton(kafka_adapters.add_partitions, kafka)
    asyncapi_document = Singleton(kafka_adapters.asyncapi_document)

    sync_user = Singleton(SyncUser, users=user_store)
    delete_user = Singleton(DeleteUser, users=user_store)
    receive_webhook = Singleton(ReceiveWebhook, webhooks=webhook_reader, sync_user=sync_user, delete_user=delete_user)
    on_obtained: Provider[Any] = Object(lambda: None)
    just_in_time = Singleton(
        JustInTimeSync,
        users=user_reader,
        identities=hasty_identities,
        sync_user=sync_user,
        clock=Object(time.monotonic),
        on_obtained=on_obtained,
    )
    reconcile = Singleton(
        Reconcile,
        identities=identities,
        users=user_directory,
        living=living_users,
        sync_user=sync_user,
        delete_user=delete_user,
        checkpoints=checkpoints,
        now_ms=now_ms,
        clock=Object(time.monotonic),
        sleep=Object(asyncio.sleep),
        new_run=Object(lambda: uuid.uuid4().hex),
    )
    get_user = Singleton(GetUser, users=user_reader, just_in_time=just_in_time)
    get_current_user = Singleton(GetCurrentUser, get_user=get_user)

    list_users = Singleton(ListUsers, directory=user_directory)
    manage_users = Singleton(
        ManageUsers,
        users=user_reader,
        living=living_users,
        identities=identities,
        sync_user=sync_user,
        delete_user=delete_user,
        now_ms=now_ms,
    )


def container_for(settings: AttrsInstance) -> Container:
    """Return a container with the groups of settings that a command loaded; asking for more than them is an error."""
    groups = {name: getattr(settings, name) for name in fields_dict(type(settings)) if name in Container.providers}
    return Container(**groups)


@asynccontextmanager
async def serving(container: Container) -> AsyncIterator[None]:
    """Start what the HTTP process runs in the background, in the running loop, and close it in reverse order."""
    async with acting(container), _started(container.session_keys):
        yield


@asynccontextmanager
async def acting(container: Container) -> AsyncIterator[None]:
    """Start what asks Clerk and writes users, in the running loop, and close it in reverse order."""
    try:
        async with _started(container.outbox_wake, container.user_store, container.backend):
            yield
    finally:
        await container.engine().dispose()


@asynccontextmanager
async def _started(*providers: Provider[Any]) -> AsyncIterator[None]:
    async with AsyncExitStack() as stack:
        for provider in providers:
            part = provider()
            if start := getattr(part, "start", None):
                await start()
            if aclose := getattr(part, "aclose", None):
                stack.push_async_callback(aclose)
        yield
