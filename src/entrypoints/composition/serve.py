"""`auth-service serve`: one worker process."""

import time
from collections.abc import Callable as Function
from functools import partial
from typing import Any

from attrs import frozen
from dependency_injector.containers import DeclarativeContainer
from dependency_injector.providers import Callable, Dependency, Object, Provider, Singleton
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.clerk.backend_api import BackendApi
from adapters.clerk.identities import BACKGROUND, INTERACTIVE, ClerkIdentities
from adapters.clerk.webhooks import ClerkWebhooks
from adapters.kafka.cloudevents import encode
from adapters.postgres import database_load as load
from adapters.postgres import doctor, health
from adapters.postgres.connection.target import Target
from adapters.postgres.engine import create_engine
from adapters.postgres.living_users import PostgresLivingUsers
from adapters.postgres.notifier import OutboxNotifier
from adapters.postgres.outbox_admin import PostgresOutboxAdmin
from adapters.postgres.replica import PostgresReplicas
from adapters.postgres.session_store import PostgresSessionStore
from adapters.postgres.statements import BY_KEY
from adapters.postgres.user_directory import PostgresUserDirectory
from adapters.postgres.user_reader import PostgresUserReader
from adapters.postgres.user_store import PostgresUserStore
from anomalyze_auth import JwksKeys, KeySource, RequestVerifier, SessionVerifier, cookie_suffix_of
from application.reconcile.drift import LivingUsers
from application.relay.dead_letters import OutboxAdministration
from application.relay.lanes import SESSIONS
from application.sessions.ports import SessionStore
from application.sessions.revoke_session import RevokeSession
from application.users.delete_user import DeleteUser
from application.users.get_current_user import GetCurrentUser
from application.users.get_user import GetUser
from application.users.just_in_time import JustInTimeSync
from application.users.list_users import ListUsers
from application.users.manage_users import ManageUsers
from application.users.ports import ClerkUsers, UserDirectory, UserReader, UserStore, WebhookReader
from application.users.receive_webhook import ReceiveWebhook
from application.users.replica import ReplicaReads
from application.users.sync_user import SyncUser
from entrypoints.config.clerk_values import PublishableKey
from entrypoints.config.secret import revealed
from entrypoints.config.settings import (
    ClerkApiSettings,
    DatabaseSettings,
    HttpSettings,
    ManagementSettings,
    ReplicaSettings,
    TokenSettings,
    WebhookSettings,
    secret_key_for_keys,
)
from entrypoints.http.authentication import Authentication
from entrypoints.http.middleware.graceful_shutdown import GracefulShutdown
from entrypoints.http.recent_failures import RecentFailures, note_obtained
from entrypoints.http.rejection_throttle import RejectionThrottle
from entrypoints.http.routes import health as health_routes
from entrypoints.http.users.admission import Admission
from entrypoints.http.users.management import Management
from entrypoints.observability import metrics
from entrypoints.observability.process_metrics import ProcessMetrics
from entrypoints.observability.tracing import Tracing


def _session_keys(tokens: TokenSettings, api: ClerkApiSettings) -> KeySource:
    """Return the configured key, or else the published ones."""
    if tokens.clerk_jwt_key:
        return tokens.clerk_jwt_key.source
    assert tokens.jwks_url  # noqa: S101  # entrypoints.config.loading refuses settings without either
    secret_key = secret_key_for_keys(tokens, api)
    return JwksKeys(tokens.jwks_url, headers={"Authorization": f"Bearer {secret_key}"} if secret_key else None)


def _cookie_suffix(publishable_key: PublishableKey | None) -> str | None:
    return cookie_suffix_of(publishable_key.written) if publishable_key else None


@frozen
class Replicated:
    """Reading at replicas, where there are some."""

    replicas: PostgresReplicas | None = None
    reads: ReplicaReads | None = None


def _replicated(target: Target | None, primary: AsyncEngine) -> Replicated:
    if target is None:
        return Replicated()
    replicas = PostgresReplicas(target, primary, health_routes.log_replica)
    return Replicated(replicas, ReplicaReads(replicas, metrics.count_read))


class ServeContainer(DeclarativeContainer):
    database: Dependency[DatabaseSettings] = Dependency(instance_of=DatabaseSettings)
    replica: Dependency[ReplicaSettings] = Dependency(instance_of=ReplicaSettings, default=ReplicaSettings())
    webhooks: Dependency[WebhookSettings] = Dependency(instance_of=WebhookSettings)
    tokens: Dependency[TokenSettings] = Dependency(instance_of=TokenSettings)
    clerk_api: Dependency[ClerkApiSettings] = Dependency(instance_of=ClerkApiSettings)
    management: Dependency[ManagementSettings] = Dependency(instance_of=ManagementSettings)
    http: Dependency[HttpSettings] = Dependency(instance_of=HttpSettings)
    traced: Dependency[Tracing] = Dependency(default=Tracing())

    now_ms: Provider[Function[[], int]] = Object(lambda: time.time_ns() // 1_000_000)
    graceful_shutdown = Singleton(GracefulShutdown, http.provided.shutdown_delay_s)
    recent_failures = Singleton(RecentFailures, time.monotonic)
    rejections = Singleton(RejectionThrottle, time.monotonic)

    # PostgreSQL
    engine = Singleton(create_engine, Callable(revealed, database.provided.database_url), settings=BY_KEY)
    outbox_wake = Singleton(OutboxNotifier, engine)
    session_wake = Singleton(OutboxNotifier, engine, SESSIONS)
    user_store: Provider[UserStore] = traced.provided.user_store.call(
        Singleton(
            PostgresUserStore,
            engine,
            encode,
            outbox_wake.provided.set,
            traced.provided.batch,
        )
    )
    user_reader: Provider[UserReader] = traced.provided.user_reader.call(Singleton(PostgresUserReader, engine))
    replicated = Singleton(_replicated, Callable(revealed, replica.provided.database_replica_url), engine)
    session_store: Provider[SessionStore] = Singleton(
        PostgresSessionStore,
        engine,
        encode,
        session_wake.provided.set,
        traced.provided.batch,
    )
    user_directory: Provider[UserDirectory] = Singleton(PostgresUserDirectory, engine)
    living_users: Provider[LivingUsers] = Singleton(PostgresLivingUsers, engine)
    outbox_admin: Provider[OutboxAdministration] = Singleton(PostgresOutboxAdmin, engine)
    check_database: Provider[Any] = Singleton(partial, health.check_database, engine)
    try_writing: Provider[Any] = Singleton(partial, doctor.try_writing, engine)

    # Clerk
    webhook_reader: Provider[WebhookReader] = Singleton(
        ClerkWebhooks, Callable(revealed, webhooks.provided.clerk_webhook_secret)
    )
    backend = Singleton(
        BackendApi, Callable(revealed, clerk_api.provided.clerk_secret_key), clerk_api.provided.clerk_api_url
    )
    identities: Provider[ClerkUsers] = Singleton(ClerkIdentities, backend, BACKGROUND, now_ms=now_ms)
    hasty_identities: Provider[ClerkUsers] = Singleton(ClerkIdentities, backend, INTERACTIVE, now_ms=now_ms)
    session_keys: Provider[KeySource] = Singleton(_session_keys, tokens, clerk_api)
    request_verifier = Singleton(
        RequestVerifier,
        Singleton(
            SessionVerifier,
            session_keys,
            issuer=tokens.provided.issuer,
            authorized_parties=tokens.provided.clerk_authorized_parties,
        ),
        cookie_suffix=Callable(_cookie_suffix, tokens.provided.clerk_publishable_key),
        cookies=Callable(bool, tokens.provided.clerk_authorized_parties),
    )

    # Use cases
    sync_user = Singleton(SyncUser, users=user_store)
    delete_user = Singleton(DeleteUser, users=user_store)
    revoke_session = Singleton(RevokeSession, session_store)
    receive_webhook: Provider[ReceiveWebhook] = traced.provided.receive_webhook.call(
        Singleton(
            ReceiveWebhook,
            webhooks=webhook_reader,
            sync_user=sync_user,
            delete_user=delete_user,
            revoke_session=revoke_session,
        )
    )
    just_in_time: Provider[JustInTimeSync] = traced.provided.just_in_time.call(
        Singleton(
            JustInTimeSync,
            users=user_reader,
            identities=hasty_identities,
            sync_user=sync_user,
            clock=time.monotonic,
            on_obtained=Singleton(partial, note_obtained, recent_failures),
        )
    )
    get_user = Singleton(GetUser, users=user_reader, just_in_time=just_in_time, replica=replicated.provided.reads)
    get_current_user = Singleton(
        GetCurrentUser, users=user_reader, just_in_time=just_in_time, replica=replicated.provided.reads
    )

    # HTTP
    authentication = Singleton(Authentication, request_verifier, get_current_user, rejections)
    managers = Singleton(
        Authentication,
        request_verifier,
        Singleton(GetCurrentUser, users=user_reader, just_in_time=just_in_time),
        rejections,
    )
    """Asks the primary alone: who was banned a moment ago must not ban others."""
    user_management = Singleton(
        Management,
        admission=Singleton(
            Admission,
            authentication=managers,
            keys=management.provided.auth_service_keys,
            permission=management.provided.auth_service_permission,
            organizations=management.provided.auth_service_organizations,
        ),
        list_users=Singleton(ListUsers, directory=user_directory, replica=replicated.provided.reads),
        get_user=get_user,
        manage_users=Singleton(
            ManageUsers,
            users=user_reader,
            living=living_users,
            identities=identities,
            sync_user=sync_user,
            delete_user=delete_user,
            revoke_session=revoke_session,
            now_ms=now_ms,
        ),
    )
    health_dependencies = Singleton(
        health_routes.Dependencies,
        check_database=check_database,
        try_writing=try_writing,
        read_backlog=outbox_admin.provided.status,
        replicas=replicated.provided.replicas,
        session_keys=session_keys,
        failures=recent_failures,
        departure=graceful_shutdown,
        clock=time.monotonic,
    )
    process_metrics = Singleton(
        ProcessMetrics, Singleton(partial, load.read_database_load, engine, user_store), session_keys
    )
