"""The composition root: which adapter fills which port. Nothing else knows."""

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from attrs import AttrsInstance, fields_dict
from dependency_injector.containers import DeclarativeContainer
from dependency_injector.providers import Dependency, Factory, Object, Provider, Singleton

from anomalyze_auth import KeySource
from application.delete_user import DeleteUser
from application.get_current_user import GetCurrentUser
from application.just_in_time import JustInTimeSync
from application.outbox import Outbox
from application.ports import IdentityProvider, UserReader, UserStore, WebhookReader
from application.receive_webhook import ReceiveWebhook
from application.relay_events import RelayEvents
from application.relay_lanes import LaneLeases
from application.sync_user import SyncUser
from entrypoints.container import clerk_adapters, kafka_adapters, postgres_adapters
from entrypoints.settings import (
    ClerkApiSettings,
    DatabaseSettings,
    KafkaSettings,
    TokenSettings,
    WebhookSettings,
)


class Container(DeclarativeContainer):
    """What a process is made of; `container_for` fills the groups of settings that its command has."""

    database: Dependency[DatabaseSettings] = Dependency(instance_of=DatabaseSettings)
    webhooks: Dependency[WebhookSettings] = Dependency(instance_of=WebhookSettings)
    tokens: Dependency[TokenSettings] = Dependency(instance_of=TokenSettings)
    clerk_api: Dependency[ClerkApiSettings] = Dependency(instance_of=ClerkApiSettings)
    kafka: Dependency[KafkaSettings] = Dependency(instance_of=KafkaSettings)

    engine = Singleton(postgres_adapters.engine, database)
    outbox_wake = Singleton(postgres_adapters.outbox_wake, engine)
    user_store: Provider[UserStore] = Singleton(postgres_adapters.user_store, engine, outbox_wake)
    user_reader: Provider[UserReader] = Singleton(postgres_adapters.user_reader, engine)
    migrate = Singleton(postgres_adapters.migrate, engine)
    check_database = Singleton(postgres_adapters.check_database, engine)

    webhook_reader: Provider[WebhookReader] = Singleton(clerk_adapters.webhook_reader, webhooks)
    identities: Provider[IdentityProvider] = Singleton(clerk_adapters.identities, clerk_api)
    session_keys: Provider[KeySource] = Singleton(clerk_adapters.session_keys, tokens)
    session_verifier = Singleton(clerk_adapters.session_verifier, session_keys, tokens)

    relay_engine = Singleton(postgres_adapters.relay_engine, database)
    outbox: Provider[Outbox] = Singleton(postgres_adapters.outbox, relay_engine)
    outbox_admin = Singleton(postgres_adapters.outbox_admin, engine)
    examine_database = Singleton(postgres_adapters.examine_database, engine)
    examine_topic = Singleton(kafka_adapters.examine_topic, kafka)
    lane_leases: Provider[LaneLeases] = Singleton(postgres_adapters.lane_leases, relay_engine)
    publisher = Singleton(kafka_adapters.publisher, kafka)
    wake_listener = Factory(postgres_adapters.wake_listener, database)
    relay_events = Factory(RelayEvents, outbox=outbox, publisher=publisher)

    # For the commands of a developer's machine: `dev`, `demo`, `trigger`, `token`, `events`.
    clerk_stand_in = Singleton(clerk_adapters.clerk_stand_in, webhooks)
    mint_session_token = Singleton(clerk_adapters.mint_session_token)
    tail_topic = Singleton(kafka_adapters.tail_topic, kafka)
    create_topic = Singleton(kafka_adapters.create_topic, kafka)
    asyncapi_document = Singleton(kafka_adapters.asyncapi_document)

    sync_user = Singleton(SyncUser, users=user_store)
    delete_user = Singleton(DeleteUser, users=user_store)
    receive_webhook = Singleton(ReceiveWebhook, webhooks=webhook_reader, sync_user=sync_user, delete_user=delete_user)
    just_in_time = Singleton(
        JustInTimeSync, users=user_reader, identities=identities, sync_user=sync_user, clock=Object(time.monotonic)
    )
    get_current_user = Singleton(GetCurrentUser, users=user_reader, just_in_time=just_in_time)


def container_for(settings: AttrsInstance) -> Container:
    """Return a container with the groups of settings that a command loaded; asking for more than them is an error."""
    groups = {name: getattr(settings, name) for name in fields_dict(type(settings)) if name in Container.providers}
    return Container(**groups)


@asynccontextmanager
async def serving(container: Container) -> AsyncIterator[None]:
    """Start what the HTTP process runs in the background, in the running loop, and close it in reverse order."""
    async with AsyncExitStack() as stack:
        stack.push_async_callback(container.engine().dispose)
        for provider in (container.outbox_wake, container.user_store, container.identities, container.session_keys):
            part = provider()
            if start := getattr(part, "start", None):
                await start()
            if aclose := getattr(part, "aclose", None):
                stack.push_async_callback(aclose)
        yield
