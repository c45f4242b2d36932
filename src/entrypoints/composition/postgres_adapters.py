"""The adapters on PostgreSQL, made of the settings of a command."""

from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any

from application.doctor.database import DatabaseFacts
from application.reconcile.drift import LivingUsers
from application.reconcile.options import Checkpoints
from application.relay.fill_state import StateFill
from application.relay.lane_leases import LaneLeases
from application.relay.messages import Outbox
from application.relay.state_topic import StateLanes
from application.users.database_load import DatabaseLoad
from application.users.ports import UserDirectory, UserReader
from entrypoints.config.settings import DatabaseSettings

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

    from adapters.postgres.notifier import NotificationListener, OutboxNotifier
    from adapters.postgres.outbox_admin import PostgresOutboxAdmin
    from adapters.postgres.user_store import AroundBatch, PostgresUserStore

POOL_SIZE = 8
"""Connections of one process: one writes at a time (group commit), one wakes relays, the rest read."""

# Adapters are imported where they are made: svix alone takes 0.4 s, and no process needs all of them.
# ruff: noqa: PLC0415


def engine(settings: DatabaseSettings) -> "AsyncEngine":
    from adapters.postgres.engine import create_engine
    from adapters.postgres.statements import BY_KEY

    target = settings.database_url.get_secret_value()
    return create_engine(target, pool_size=POOL_SIZE, application_name="auth-service", settings=BY_KEY)


def outbox_wake(engine: "AsyncEngine") -> "OutboxNotifier":
    from adapters.postgres.notifier import OutboxNotifier

    return OutboxNotifier(engine)


def user_store(engine: "AsyncEngine", wake: "OutboxNotifier", around_batch: "AroundBatch") -> "PostgresUserStore":
    from adapters.kafka.cloudevents import encode
    from adapters.postgres.user_store import PostgresUserStore

    return PostgresUserStore(engine, encode, wake.set, around_batch, before_commit=wake.soon)


def database_load(engine: "AsyncEngine", store: "PostgresUserStore") -> Callable[[], DatabaseLoad]:
    from sqlalchemy import QueuePool

    def read() -> DatabaseLoad:
        pool = engine.pool
        assert isinstance(pool, QueuePool)  # noqa: S101  # `engine` made it
        in_use, idle = pool.checkedout(), pool.checkedin()
        return DatabaseLoad(waiting_changes=store.waiting, connections_in_use=in_use, connections_idle=idle)

    return read


def relay_engine(settings: DatabaseSettings) -> "AsyncEngine":
    from adapters.postgres.engine import create_engine
    from adapters.postgres.outbox import INDEX_PLANS

    target = settings.database_url.get_secret_value()
    return create_engine(target, pool_size=2, application_name="auth-service-relay", settings=INDEX_PLANS)


def outbox(engine: "AsyncEngine") -> Outbox:
    from adapters.postgres.outbox import PostgresOutbox

    return PostgresOutbox(engine)


def state_lanes(engine: "AsyncEngine") -> StateLanes:
    from adapters.postgres.state_lanes import PostgresStateLanes

    return PostgresStateLanes(engine)


def state_fill(engine: "AsyncEngine") -> StateFill:
    from adapters.kafka.cloudevents import encode
    from adapters.postgres.state_fill import PostgresStateFill

    return PostgresStateFill(engine, encode)


def outbox_admin(engine: "AsyncEngine") -> "PostgresOutboxAdmin":
    from adapters.postgres.outbox_admin import PostgresOutboxAdmin

    return PostgresOutboxAdmin(engine)


def lane_leases(engine: "AsyncEngine") -> LaneLeases:
    from adapters.postgres.lane_leases import PostgresLaneLeases

    return PostgresLaneLeases(engine)


def wake_listener(settings: DatabaseSettings, on_wake: Callable[[], None]) -> "NotificationListener":
    from adapters.postgres.notifier import NotificationListener

    return NotificationListener(settings.database_url.get_secret_value(), on_wake)


def examine_database(engine: "AsyncEngine") -> Callable[[], Awaitable[DatabaseFacts]]:
    from adapters.postgres.doctor import examine_database

    return partial(examine_database, engine)


def try_writing(engine: "AsyncEngine") -> Callable[[], Awaitable[None]]:
    from adapters.postgres.doctor import try_writing

    return partial(try_writing, engine)


def user_reader(engine: "AsyncEngine") -> UserReader:
    from adapters.postgres.user_reader import PostgresUserReader

    return PostgresUserReader(engine)


def user_directory(engine: "AsyncEngine") -> UserDirectory:
    from adapters.postgres.user_directory import PostgresUserDirectory

    return PostgresUserDirectory(engine)


def living_users(engine: "AsyncEngine") -> LivingUsers:
    from adapters.postgres.living_users import PostgresLivingUsers

    return PostgresLivingUsers(engine)


def checkpoints(engine: "AsyncEngine") -> Checkpoints:
    from adapters.postgres.reconcile_checkpoint import PostgresCheckpoints

    return PostgresCheckpoints(engine)


def check_database(engine: "AsyncEngine") -> Callable[[], Awaitable[None]]:
    from adapters.postgres.health import check_database

    return partial(check_database, engine)


def migrate(settings: DatabaseSettings) -> Callable[[str], Coroutine[Any, Any, tuple[str | None, str | None, str]]]:
    """Return what brings the schema to a revision, and says the one before, the one after and the one expected."""
    from adapters.postgres.engine import create_engine
    from adapters.postgres.migrate import migrate
    from adapters.postgres.revisions import known_revisions

    async def migrated(revision: str) -> tuple[str | None, str | None, str]:
        target = settings.database_url.get_secret_value()
        engine = create_engine(target, pool_size=1, application_name="auth-service-migrate", statement_timeout_s=None)
        try:
            return *await migrate(engine, revision), known_revisions()[-1]
        finally:
            await engine.dispose()

    return migrated
