"""`auth-service outbox`, `migrate` and `topic fill`: what works on the database alone."""

from dependency_injector.containers import DeclarativeContainer
from dependency_injector.providers import Callable, Dependency, Factory, Provider, Singleton

from adapters.kafka.cloudevents import encode
from adapters.postgres.distribute import distribute_at
from adapters.postgres.engine import create_engine
from adapters.postgres.migrate import migrate_at
from adapters.postgres.outbox_admin import PostgresOutboxAdmin
from adapters.postgres.state_fill import PostgresStateFill
from adapters.postgres.statements import BY_KEY
from application.relay.fill_state import FillState
from application.relay.ports import OutboxAdministration
from entrypoints.config.secret import revealed
from entrypoints.config.settings import DatabaseSettings


class DatabaseContainer(DeclarativeContainer):
    database: Dependency[DatabaseSettings] = Dependency(instance_of=DatabaseSettings)

    database_url = Callable(revealed, database.provided.database_url)
    engine = Singleton(create_engine, database_url, settings=BY_KEY)
    outbox_admin: Provider[OutboxAdministration] = Singleton(PostgresOutboxAdmin, engine)
    fill_state = Factory(FillState, Singleton(PostgresStateFill, engine, encode))
    migrate = Callable(migrate_at, database_url)
    """Brings the schema to a revision, and returns the one before, the one after and the one expected."""
    distribute = Callable(distribute_at, database_url)
    """Distributes the tables over the servers of a cluster, and yields each."""
