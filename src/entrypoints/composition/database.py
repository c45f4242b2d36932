"""`auth-service outbox`, `migrate` and `topic fill`: what works on the database alone."""

from dependency_injector.providers import Callable, Factory, Singleton

from adapters.kafka.cloudevents import encode
from adapters.postgres.distribute import distribute_at
from adapters.postgres.migrate import migrate_at
from adapters.postgres.state_fill import PostgresStateFill
from application.relay.fill_state import FillState
from entrypoints.composition.postgres import PostgresContainer


class DatabaseContainer(PostgresContainer):
    fill_state = Factory(FillState, Singleton(PostgresStateFill, PostgresContainer.engine, encode))
    migrate = Callable(migrate_at, PostgresContainer.database_url)
    """Brings the schema to a revision, and returns the one before, the one after and the one expected."""
    distribute = Callable(distribute_at, PostgresContainer.database_url)
    """Distributes the tables over the servers of a cluster, and yields each."""
