"""`auth-service users` and `auth-service reconcile`: what asks Clerk and writes users. `serve` extends it."""

import asyncio
import time
import uuid
from collections.abc import Callable as Function

from dependency_injector.containers import DeclarativeContainer
from dependency_injector.providers import Callable, Dependency, Object, Provider, Singleton

from adapters.clerk.backend_api import BackendApi
from adapters.clerk.identities import BACKGROUND, INTERACTIVE, ClerkIdentities
from adapters.kafka.cloudevents import encode
from adapters.postgres.engine import create_engine
from adapters.postgres.living_users import PostgresLivingUsers
from adapters.postgres.notifier import OutboxNotifier
from adapters.postgres.reconcile_checkpoint import PostgresCheckpoints
from adapters.postgres.session_store import PostgresSessionStore
from adapters.postgres.statements import BY_KEY
from adapters.postgres.user_directory import PostgresUserDirectory
from adapters.postgres.user_reader import PostgresUserReader
from adapters.postgres.user_store import PostgresUserStore
from application.reconcile.ports import Checkpoints, LivingUsers
from application.reconcile.run import Reconcile
from application.relay.lanes import SESSIONS
from application.sessions.ports import SessionStore
from application.sessions.revoke_session import RevokeSession
from application.users.delete_user import DeleteUser
from application.users.get_user import GetUser
from application.users.just_in_time import JustInTimeSync
from application.users.manage_users import ManageUsers
from application.users.ports import ClerkUsers, UserDirectory, UserReader, UserStore
from application.users.sync_user import SyncUser
from entrypoints.config.secret import revealed
from entrypoints.config.settings import ClerkApiSettings, DatabaseSettings
from entrypoints.observability.tracing import Tracing


class UsersContainer(DeclarativeContainer):
    database: Dependency[DatabaseSettings] = Dependency(instance_of=DatabaseSettings)
    clerk_api: Dependency[ClerkApiSettings] = Dependency(instance_of=ClerkApiSettings)
    traced: Dependency[Tracing] = Dependency(default=Tracing())

    now_ms: Provider[Function[[], int]] = Object(lambda: time.time_ns() // 1_000_000)

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
            is_first=outbox_wake.provided.is_first,
        )
    )
    user_reader: Provider[UserReader] = traced.provided.user_reader.call(Singleton(PostgresUserReader, engine))
    session_store: Provider[SessionStore] = Singleton(
        PostgresSessionStore, engine, encode, session_wake.provided.set, traced.provided.batch
    )
    user_directory: Provider[UserDirectory] = Singleton(PostgresUserDirectory, engine)
    living_users: Provider[LivingUsers] = Singleton(PostgresLivingUsers, engine)
    checkpoints: Provider[Checkpoints] = Singleton(PostgresCheckpoints, engine)

    # Clerk
    backend = Singleton(
        BackendApi, Callable(revealed, clerk_api.provided.clerk_secret_key), clerk_api.provided.clerk_api_url
    )
    identities: Provider[ClerkUsers] = Singleton(ClerkIdentities, backend, BACKGROUND, now_ms=now_ms)
    hasty_identities: Provider[ClerkUsers] = Singleton(ClerkIdentities, backend, INTERACTIVE, now_ms=now_ms)

    # Use cases
    sync_user = Singleton(SyncUser, users=user_store)
    delete_user = Singleton(DeleteUser, users=user_store)
    revoke_session = Singleton(RevokeSession, session_store)
    get_user = Singleton(
        GetUser,
        users=user_reader,
        just_in_time=Singleton(
            JustInTimeSync, users=user_reader, identities=hasty_identities, sync_user=sync_user, clock=time.monotonic
        ),
    )
    manage_users = Singleton(
        ManageUsers,
        users=user_reader,
        living=living_users,
        identities=identities,
        sync_user=sync_user,
        delete_user=delete_user,
        revoke_session=revoke_session,
        now_ms=now_ms,
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
        clock=time.monotonic,
        sleep=asyncio.sleep,
        new_run=lambda: uuid.uuid4().hex,
    )
