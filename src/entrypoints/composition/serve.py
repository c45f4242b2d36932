"""`auth-service serve`: one worker process."""

import time
from functools import partial
from typing import Any

from attrs import frozen
from dependency_injector.providers import Callable, Dependency, Provider, Singleton
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.clerk.webhooks import ClerkWebhooks
from adapters.postgres import database_load as load
from adapters.postgres import doctor, health
from adapters.postgres.connection.target import Target
from adapters.postgres.outbox_admin import PostgresOutboxAdmin
from adapters.postgres.replica import PostgresReplicas
from anomalyze_auth import JwksKeys, KeySource, RequestVerifier, SessionVerifier, cookie_suffix_of
from application.relay.ports import OutboxAdministration
from application.users.get_current_user import GetCurrentUser
from application.users.get_user import GetUser
from application.users.just_in_time import JustInTimeSync
from application.users.list_users import ListUsers
from application.users.ports import WebhookReader
from application.users.receive_webhook import ReceiveWebhook
from application.users.replica import ReplicaReads
from entrypoints.composition.users import UsersContainer
from entrypoints.config import settings
from entrypoints.config.clerk_values import PublishableKey
from entrypoints.config.secret import revealed
from entrypoints.http.authentication import Authentication
from entrypoints.http.middleware.graceful_shutdown import GracefulShutdown
from entrypoints.http.recent_failures import RecentFailures
from entrypoints.http.rejection_throttle import RejectionThrottle
from entrypoints.http.routes import health as health_routes
from entrypoints.http.users.admission import Admission
from entrypoints.http.users.management import Management
from entrypoints.observability import metrics
from entrypoints.observability.process_metrics import ProcessMetrics


def _session_keys(tokens: settings.TokenSettings, api: settings.ClerkApiSettings) -> KeySource:
    """Return the configured key, or else the published ones."""
    if tokens.clerk_jwt_key:
        return tokens.clerk_jwt_key.source
    assert tokens.jwks_url  # noqa: S101  # entrypoints.config.loading refuses settings without either
    secret_key = settings.secret_key_for_keys(tokens, api)
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


class ServeContainer(UsersContainer):
    # No provider of `UsersContainer` may refer to one that is replaced here: it would keep the one there.
    replica: Dependency[settings.ReplicaSettings] = Dependency(
        instance_of=settings.ReplicaSettings, default=settings.ReplicaSettings()
    )
    webhooks: Dependency[settings.WebhookSettings] = Dependency(instance_of=settings.WebhookSettings)
    tokens: Dependency[settings.TokenSettings] = Dependency(instance_of=settings.TokenSettings)
    management: Dependency[settings.ManagementSettings] = Dependency(instance_of=settings.ManagementSettings)
    http: Dependency[settings.HttpSettings] = Dependency(instance_of=settings.HttpSettings)

    graceful_shutdown = Singleton(GracefulShutdown, http.provided.shutdown_delay_s)
    recent_failures = Singleton(RecentFailures, time.monotonic)
    rejections = Singleton(RejectionThrottle, time.monotonic)

    # PostgreSQL
    replicated = Singleton(
        _replicated, Callable(revealed, replica.provided.database_replica_url), UsersContainer.engine
    )
    outbox_admin: Provider[OutboxAdministration] = Singleton(PostgresOutboxAdmin, UsersContainer.engine)
    check_database: Provider[Any] = Singleton(partial, health.check_database, UsersContainer.engine)
    try_writing: Provider[Any] = Singleton(partial, doctor.try_writing, UsersContainer.engine)

    # Clerk
    webhook_reader: Provider[WebhookReader] = Singleton(
        ClerkWebhooks, Callable(revealed, webhooks.provided.clerk_webhook_secret)
    )
    session_keys: Provider[KeySource] = Singleton(_session_keys, tokens, UsersContainer.clerk_api)
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
    receive_webhook: Provider[ReceiveWebhook] = UsersContainer.traced.provided.receive_webhook.call(
        Singleton(
            ReceiveWebhook,
            webhooks=webhook_reader,
            sync_user=UsersContainer.sync_user,
            delete_user=UsersContainer.delete_user,
            revoke_session=UsersContainer.revoke_session,
        )
    )
    just_in_time: Provider[JustInTimeSync] = UsersContainer.traced.provided.just_in_time.call(
        Singleton(
            JustInTimeSync,
            users=UsersContainer.user_reader,
            identities=UsersContainer.hasty_identities,
            sync_user=UsersContainer.sync_user,
            clock=time.monotonic,
            on_obtained=recent_failures.provided.user_obtained,
        )
    )
    get_user = Singleton(
        GetUser, users=UsersContainer.user_reader, just_in_time=just_in_time, replica=replicated.provided.reads
    )
    get_current_user = Singleton(
        GetCurrentUser, users=UsersContainer.user_reader, just_in_time=just_in_time, replica=replicated.provided.reads
    )

    # HTTP
    authentication = Singleton(Authentication, request_verifier, get_current_user, rejections)
    managers = Singleton(
        Authentication,
        request_verifier,
        Singleton(GetCurrentUser, users=UsersContainer.user_reader, just_in_time=just_in_time),
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
        list_users=Singleton(ListUsers, directory=UsersContainer.user_directory, replica=replicated.provided.reads),
        get_user=get_user,
        manage_users=UsersContainer.manage_users,
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
        ProcessMetrics,
        Singleton(partial, load.read_database_load, UsersContainer.engine, UsersContainer.user_store),
        session_keys,
    )
