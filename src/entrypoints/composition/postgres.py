"""What every page on the database has."""

from dependency_injector.containers import DeclarativeContainer
from dependency_injector.providers import Callable, Dependency, Provider, Singleton

from adapters.postgres.engine import create_engine
from adapters.postgres.outbox_admin import PostgresOutboxAdmin
from adapters.postgres.statements import BY_KEY
from application.relay.ports import OutboxAdministration
from entrypoints.config.secret import revealed
from entrypoints.config.settings import DatabaseSettings


class PostgresContainer(DeclarativeContainer):
    database: Dependency[DatabaseSettings] = Dependency(instance_of=DatabaseSettings)

    database_url = Callable(revealed, database.provided.database_url)
    engine = Singleton(create_engine, database_url, settings=BY_KEY)
    outbox_admin: Provider[OutboxAdministration] = Singleton(PostgresOutboxAdmin, engine)
