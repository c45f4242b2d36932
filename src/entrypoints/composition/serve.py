"""`auth-service serve`, one worker process; `users`, `reconcile` and `topic repair` use the same parts of it."""

import time
from collections.abc import Callable as Function
from collections.abc import Sequence
from typing import TYPE_CHECKING

from dependency_injector.providers import Callable, Dependency, Object, Provider, Singleton

from adapters.clerk.backend_api import BackendApi
from adapters.clerk.identities import BACKGROUND, INTERACTIVE, ClerkIdentities
from adapters.kafka.cloudevents import encode
from adapters.postgres.database_load import read_database_load
from adapters.postgres.doctor import try_writing
from adapters.postgres.health import check_database
from adapters.postgres.notifier import OutboxNotifier
from adapters.postgres.replica import PostgresReplicas
from adapters.postgres.session_store import PostgresSessionStore
from adapters.postgres.user_directory import PostgresUserDirectory
from adapters.postgres.user_reader import PostgresUserReader
from adapters.postgres.user_store import PostgresUserStore
from anomalyze_auth import JwksKeys, KeySource, RequestVerifier, SessionVerifier, cookie_suffix_of
from application.relay.lanes import SESSIONS
from application.sessions.ports import SessionStore
from application.sessions.revoke_session import RevokeSession
from application.users import ports
from application.users.delete_user import DeleteUser
from application.users.get_current_user import GetCurrentUser
from application.users.get_user import GetUser
from application.users.just_in_time import JustInTimeSync
from application.users.list_users import ListUsers
from application.users.manage_users import ManageUsers
from application.users.receive_webhook import ReceiveWebhook
from application.users.replica import ReplicaReads
from application.users.signing_key import SigningKey
from application.users.sync_user import SyncUser
from entrypoints.composition.postgres import PostgresContainer
from entrypoints.config import settings
from entrypoints.config.secret import revealed
from entrypoints.observability.logging import log_replica
from entrypoints.observability.tracing import Tracing

if TYPE_CHECKING:
    from entrypoints.http.recent_failures import RecentFailures


def _session_keys(tokens: settings.TokenSettings, api: settings.ClerkApiSettings) -> KeySource:
    """Return the configured key, or else the published ones."""
    if tokens.clerk_jwt_key:
        return tokens.clerk_jwt_key.source
    assert tokens.jwks_url  # noqa: S101  # entrypoints.config.loading refuses settings without either
    secret_key = settings.secret_key_for_keys(tokens, api)
    return JwksKeys(tokens.jwks_url, headers={"Authorization": f"Bearer {secret_key}"} if secret_key else None)


def _webhook_reader(keys: Sequence[SigningKey]) -> ports.WebhookReader:
    from adapters.clerk.webhooks import ClerkWebhooks  # noqa: PLC0415  # svix takes 0.2 s, and only serve needs it

    return ClerkWebhooks(keys)


# Imported late: prometheus_client then reads where the workers of serve share their numbers, and commands have none.
def _recent_failures() -> "RecentFailures":
    from entrypoints.http.recent_failures import RecentFailures  # noqa: PLC0415

    return RecentFailures(time.monotonic)


def _replica_reads(replicas: PostgresReplicas | None) -> ReplicaReads | None:
    from entrypoints.observability.metrics import count_read  # noqa: PLC0415

    return ReplicaReads(replicas, count_read) if replicas else None


class ServeContainer(PostgresContainer):
    replica: Dependency[settings.ReplicaSettings] = Dependency(
        instance_of=settings.ReplicaSettings, default=settings.ReplicaSettings()
    )
    webhooks: Dependency[settings.WebhookSettings] = Dependency(instance_of=settings.WebhookSettings)
    tokens: Dependency[settings.TokenSettings] = Dependency(instance_of=settings.TokenSettings)
    clerk_api: Dependency[settings.ClerkApiSettings] = Dependency(instance_of=settings.ClerkApiSettings)
    management: Dependency[settings.ManagementSettings] = Dependency(instance_of=settings.ManagementSettings)
    http: Dependency[settings.HttpSettings] = Dependency(instance_of=settings.HttpSettings)
    traced: Dependency[Tracing] = Dependency(default=Tracing())

    now_ms: Provider[Function[[], int]] = Object(lambda: time.time_ns() // 1_000_000)
    recent_failures = Singleton(_recent_failures)

    # PostgreSQL
    engine = PostgresContainer.engine
    outbox_notifier = Singleton(OutboxNotifier, engine)
    session_notifier = Singleton(OutboxNotifier, engine, SESSIONS)
    postgres_user_store = Singleton(
        PostgresUserStore,
        engine,
        encode,
        outbox_notifier.provided.add,
        traced.provided.batch,
        is_first=outbox_notifier.provided.is_first,
    )
    user_store: Provider[ports.UserStore] = traced.provided.user_store.call(postgres_user_store)
    user_reader: Provider[ports.UserReader] = traced.provided.user_reader.call(Singleton(PostgresUserReader, engine))
    session_store: Provider[SessionStore] = Singleton(
        PostgresSessionStore, engine, encode, session_notifier.provided.add, traced.provided.batch
    )
    user_directory: Provider[ports.UserDirectory] = Singleton(PostgresUserDirectory, engine)
    check_database = Callable(check_database, engine)
    try_writing = Callable(try_writing, engine)
    database_load = Callable(read_database_load, engine, postgres_user_store)
    replicas = Singleton(
        lambda target, primary: target and PostgresReplicas(target, primary, log_replica),
        Callable(revealed, replica.provided.database_replica_url),
        engine,
    )
    replica_reads = Singleton(_replica_reads, replicas)

    # Clerk
    backend = Singleton(
        BackendApi, Callable(revealed, clerk_api.provided.clerk_secret_key), clerk_api.provided.clerk_api_url
    )
    identities: Provider[ports.ClerkUsers] = Singleton(ClerkIdentities, backend, BACKGROUND, now_ms=now_ms)
    interactive_identities: Provider[ports.ClerkUsers] = Singleton(ClerkIdentities, backend, INTERACTIVE, now_ms=now_ms)
    webhook_reader: Provider[ports.WebhookReader] = Singleton(
        _webhook_reader, Callable(revealed, webhooks.provided.clerk_webhook_secret)
    )
    session_keys: Provider[KeySource] = Singleton(_session_keys, tokens, clerk_api)
    request_verifier = Singleton(
        RequestVerifier,
        Singleton(
            SessionVerifier,
            session_keys,
            issuer=tokens.provided.issuer,
            authorized_parties=tokens.provided.clerk_authorized_parties,
        ),
        cookie_suffix=Callable(
            lambda key: key and cookie_suffix_of(key.written), tokens.provided.clerk_publishable_key
        ),
        cookies=Callable(bool, tokens.provided.clerk_authorized_parties),
    )

    # Use cases
    sync_user = Singleton(SyncUser, user_store)
    delete_user = Singleton(DeleteUser, user_store)
    revoke_session = Singleton(RevokeSession, session_store)
    receive_webhook: Provider[ReceiveWebhook] = traced.provided.receive_webhook.call(
        Singleton(ReceiveWebhook, webhook_reader, sync_user, delete_user, revoke_session)
    )
    just_in_time: Provider[JustInTimeSync] = traced.provided.just_in_time.call(
        Singleton(
            JustInTimeSync,
            users=user_reader,
            identities=interactive_identities,
            sync_user=sync_user,
            clock=time.monotonic,
            on_obtained=recent_failures.provided.user_obtained,
        )
    )
    get_user = Singleton(GetUser, user_reader, just_in_time, replica_reads)
    get_current_user = Singleton(GetCurrentUser, user_reader, just_in_time, replica_reads)
    get_manager = Singleton(GetCurrentUser, user_reader, just_in_time)
    """Asks the primary alone: who was banned a moment ago must not ban others."""
    list_users = Singleton(ListUsers, user_directory, replica_reads)
    manage_users = Singleton(
        ManageUsers,
        users=user_reader,
        directory=user_directory,
        identities=identities,
        sync_user=sync_user,
        delete_user=delete_user,
        revoke_session=revoke_session,
        now_ms=now_ms,
    )
