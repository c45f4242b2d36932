"""The composition root: which adapter fills which port. Nothing else knows."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from attrs import AttrsInstance, fields_dict
from dependency_injector.containers import DeclarativeContainer
from dependency_injector.providers import Dependency, Factory, Object, Provider, Singleton

from anomalyze_auth import JwksKeys, KeySource, PemKey, SessionVerifier
from application.delete_user import DeleteUser
from application.examination import DatabaseFacts, TopicFacts
from application.get_current_user import GetCurrentUser
from application.just_in_time import JustInTimeSync
from application.outbox import Outbox
from application.ports import IdentityProvider, UserReader, UserStore, WebhookReader
from application.receive_webhook import ReceiveWebhook
from application.relay_events import RelayEvents
from application.relay_lanes import LaneLeases
from application.sync_user import SyncUser
from entrypoints.settings import (
    ClerkApiSettings,
    DatabaseSettings,
    KafkaSettings,
    TokenSettings,
    WebhookSettings,
)

if TYPE_CHECKING:
    from faststream.security import BaseSecurity
    from sqlalchemy.ext.asyncio import AsyncEngine

    from adapters.clerk.stand_in import ClerkStandIn
    from adapters.kafka.consumer import TopicTail
    from adapters.kafka.publisher import KafkaPublisher
    from adapters.postgres.outbox_admin import PostgresOutboxAdmin
    from adapters.postgres.user_store import PostgresUserStore
    from adapters.postgres.wake import OutboxWake, WakeListener

POOL_SIZE = 8
"""Connections of one process: one writes at a time (group commit), one wakes relays, the rest read."""

# Adapters are imported where they are made: svix alone takes 0.4 s, and no process needs all of them.
# ruff: noqa: PLC0415


def _engine(settings: DatabaseSettings) -> "AsyncEngine":
    from adapters.postgres.engine import create_engine
    from adapters.postgres.statements import BY_KEY

    url = settings.database_url.get_secret_value()
    return create_engine(url, pool_size=POOL_SIZE, application_name="auth-service", settings=BY_KEY)


def _outbox_wake(engine: "AsyncEngine") -> "OutboxWake":
    from adapters.postgres.wake import OutboxWake

    return OutboxWake(engine)


def _user_store(engine: "AsyncEngine", wake: "OutboxWake") -> "PostgresUserStore":
    from adapters.kafka.cloudevents import encode
    from adapters.postgres.user_store import PostgresUserStore

    return PostgresUserStore(engine, encode, wake.set)


def _relay_engine(settings: DatabaseSettings) -> "AsyncEngine":
    from adapters.postgres.engine import create_engine
    from adapters.postgres.outbox import INDEX_PLANS

    url = settings.database_url.get_secret_value()
    return create_engine(url, pool_size=2, application_name="auth-service-relay", settings=INDEX_PLANS)


def _outbox(engine: "AsyncEngine") -> Outbox:
    from adapters.postgres.outbox import PostgresOutbox

    return PostgresOutbox(engine)


def _outbox_admin(engine: "AsyncEngine") -> "PostgresOutboxAdmin":
    from adapters.postgres.outbox_admin import PostgresOutboxAdmin

    return PostgresOutboxAdmin(engine)


def _lane_leases(engine: "AsyncEngine") -> LaneLeases:
    from adapters.postgres.lane_leases import PostgresLaneLeases

    return PostgresLaneLeases(engine)


def _wake_listener(settings: DatabaseSettings, on_wake: Callable[[], None]) -> "WakeListener":
    from adapters.postgres.wake import WakeListener

    return WakeListener(settings.database_url.get_secret_value(), on_wake)


def _kafka_security(settings: KafkaSettings) -> "BaseSecurity | None":
    from adapters.kafka.security import security

    return security(
        settings.kafka_security_protocol,
        settings.kafka_sasl_mechanism,
        username=settings.kafka_sasl_username,
        password=settings.kafka_sasl_password.get_secret_value() if settings.kafka_sasl_password else None,
        ca_file=settings.kafka_ssl_ca_file,
    )


def _publisher(settings: KafkaSettings) -> "KafkaPublisher":
    from adapters.kafka.publisher import KafkaPublisher

    return KafkaPublisher(settings.kafka_bootstrap_servers, settings.kafka_user_events_topic, _kafka_security(settings))


def _tail_topic(settings: KafkaSettings) -> "Callable[..., AbstractAsyncContextManager[TopicTail]]":
    from adapters.kafka.consumer import tail_topic

    return partial(
        tail_topic, settings.kafka_bootstrap_servers, settings.kafka_user_events_topic, _kafka_security(settings)
    )


def _examine_database(engine: "AsyncEngine") -> Callable[[], Awaitable[DatabaseFacts]]:
    from adapters.postgres.examination import examine_database

    return partial(examine_database, engine)


def _examine_topic(settings: KafkaSettings) -> Callable[[], Awaitable[TopicFacts]]:
    from adapters.kafka.examination import examine_topic

    return partial(
        examine_topic, settings.kafka_bootstrap_servers, settings.kafka_user_events_topic, _kafka_security(settings)
    )


def _create_topic(settings: KafkaSettings) -> Callable[..., Coroutine[Any, Any, bool]]:
    from adapters.kafka.topics import create_topic

    return partial(
        create_topic, settings.kafka_bootstrap_servers, settings.kafka_user_events_topic, _kafka_security(settings)
    )


def _user_reader(engine: "AsyncEngine") -> UserReader:
    from adapters.postgres.user_reader import PostgresUserReader

    return PostgresUserReader(engine)


def _check_database(engine: "AsyncEngine") -> Callable[[], Awaitable[None]]:
    from adapters.postgres.health import check_database

    return partial(check_database, engine)


def _migrate(engine: "AsyncEngine") -> Callable[[str], Coroutine[Any, Any, tuple[str | None, str | None]]]:
    from adapters.postgres.migrate import migrate

    return partial(migrate, engine)


def _webhook_reader(settings: WebhookSettings) -> WebhookReader:
    from adapters.clerk.webhooks import ClerkWebhooks

    return ClerkWebhooks(settings.clerk_webhook_secret.get_secret_value())


def _clerk_stand_in(settings: WebhookSettings) -> "ClerkStandIn":
    from adapters.clerk.stand_in import ClerkStandIn

    return ClerkStandIn(settings.clerk_webhook_secret.get_secret_value()[0])


def _mint_session_token() -> Callable[..., str]:
    from adapters.clerk.session_tokens import mint_session_token

    return mint_session_token


def _asyncapi_document() -> Callable[[str], dict[str, Any]]:
    from adapters.kafka.asyncapi import document

    return document


def _identities(settings: ClerkApiSettings) -> IdentityProvider:
    from adapters.clerk.identities import ClerkIdentities, NoIdentities

    if settings.clerk_secret_key is None:
        return NoIdentities()
    return ClerkIdentities(
        settings.clerk_secret_key.get_secret_value(), settings.clerk_api_url, now_ms=lambda: time.time_ns() // 1_000_000
    )


def _session_keys(settings: TokenSettings) -> KeySource:
    if settings.clerk_jwt_key:
        return PemKey(settings.clerk_jwt_key)
    assert settings.jwks_url  # noqa: S101  # entrypoints.configuration refuses settings without either
    return JwksKeys(settings.jwks_url)


def _session_verifier(keys: KeySource, settings: TokenSettings) -> SessionVerifier:
    return SessionVerifier(keys, issuer=settings.issuer, authorized_parties=settings.clerk_authorized_parties)


class Container(DeclarativeContainer):
    """What a process is made of; `container_for` fills the groups of settings that its command has."""

    database: Dependency[DatabaseSettings] = Dependency(instance_of=DatabaseSettings)
    webhooks: Dependency[WebhookSettings] = Dependency(instance_of=WebhookSettings)
    tokens: Dependency[TokenSettings] = Dependency(instance_of=TokenSettings)
    clerk_api: Dependency[ClerkApiSettings] = Dependency(instance_of=ClerkApiSettings)
    kafka: Dependency[KafkaSettings] = Dependency(instance_of=KafkaSettings)

    engine = Singleton(_engine, database)
    outbox_wake = Singleton(_outbox_wake, engine)
    user_store: Provider[UserStore] = Singleton(_user_store, engine, outbox_wake)
    user_reader: Provider[UserReader] = Singleton(_user_reader, engine)
    migrate = Singleton(_migrate, engine)
    check_database = Singleton(_check_database, engine)

    webhook_reader: Provider[WebhookReader] = Singleton(_webhook_reader, webhooks)
    identities: Provider[IdentityProvider] = Singleton(_identities, clerk_api)
    session_keys: Provider[KeySource] = Singleton(_session_keys, tokens)
    session_verifier = Singleton(_session_verifier, session_keys, tokens)

    relay_engine = Singleton(_relay_engine, database)
    outbox: Provider[Outbox] = Singleton(_outbox, relay_engine)
    outbox_admin = Singleton(_outbox_admin, engine)
    examine_database = Singleton(_examine_database, engine)
    examine_topic = Singleton(_examine_topic, kafka)
    lane_leases: Provider[LaneLeases] = Singleton(_lane_leases, relay_engine)
    publisher = Singleton(_publisher, kafka)
    wake_listener = Factory(_wake_listener, database)
    relay_events = Factory(RelayEvents, outbox=outbox, publisher=publisher)

    # For the commands of a developer's machine: `dev`, `demo`, `trigger`, `token`, `events`.
    clerk_stand_in = Singleton(_clerk_stand_in, webhooks)
    mint_session_token = Singleton(_mint_session_token)
    tail_topic = Singleton(_tail_topic, kafka)
    create_topic = Singleton(_create_topic, kafka)
    asyncapi_document = Singleton(_asyncapi_document)

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
