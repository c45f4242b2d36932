"""`auth-service topic repair`: what writes users and asks Clerk, and the event topic."""

from functools import partial

from dependency_injector.providers import Dependency, Factory, Provider, Singleton

from adapters.kafka.seen import read_seen
from anomalyze_auth.kafka import KafkaConnection
from application.reconcile.overtake import OvertakeSeen
from application.reconcile.ports import ReadSeen
from entrypoints.composition.users import UsersContainer
from entrypoints.config.settings import KafkaSettings


class RepairContainer(UsersContainer):
    kafka: Dependency[KafkaSettings] = Dependency(instance_of=KafkaSettings)

    read_seen: Provider[ReadSeen] = Singleton(
        partial,
        read_seen,
        kafka.provided.addresses,
        kafka.provided.kafka_user_events_topic,
        Singleton(KafkaConnection.security, kafka.provided.connection),
    )
    overtake_seen = Factory(
        OvertakeSeen,
        read_seen=read_seen,
        directory=UsersContainer.user_directory,
        living=UsersContainer.living_users,
        identities=UsersContainer.identities,
        users=UsersContainer.user_store,
        now_ms=UsersContainer.now_ms,
    )
