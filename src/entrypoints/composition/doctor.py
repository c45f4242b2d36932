"""`auth-service doctor`: what looks at everything that is configured; it may lack either group of settings."""

from dependency_injector.providers import Callable, Dependency, Provider, Singleton

from adapters.clerk.doctor import key_set_of, thumbprint_of
from adapters.postgres.doctor import examine_database, try_writing
from adapters.postgres.engine import create_engine
from adapters.postgres.outbox_admin import PostgresOutboxAdmin
from adapters.postgres.replica import examine_replicas
from adapters.postgres.statements import BY_KEY
from application.relay.ports import OutboxAdministration
from entrypoints.cli.doctor.clerk import examine_clerk
from entrypoints.composition.topics import TopicsContainer
from entrypoints.config.secret import revealed
from entrypoints.config.settings import DatabaseSettings, ReplicaSettings


class DoctorContainer(TopicsContainer):
    database: Dependency[DatabaseSettings] = Dependency(instance_of=DatabaseSettings)
    replica: Dependency[ReplicaSettings] = Dependency(instance_of=ReplicaSettings, default=ReplicaSettings())

    engine = Singleton(create_engine, Callable(revealed, database.provided.database_url), settings=BY_KEY)
    outbox_admin: Provider[OutboxAdministration] = Singleton(PostgresOutboxAdmin, engine)
    examine_database = Callable(examine_database, engine)
    try_writing = Callable(try_writing, engine)
    examine_replicas = Callable(examine_replicas, Callable(revealed, replica.provided.database_replica_url), engine)
    examine_clerk = Callable(examine_clerk, key_set_of=key_set_of, thumbprint_of=thumbprint_of)
