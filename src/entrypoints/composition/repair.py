"""`auth-service topic repair`: reads the event topic too."""

from functools import partial

from dependency_injector.providers import Factory, Provider, Singleton

from adapters.kafka.seen import read_seen
from application.reconcile.overtake import OvertakeSeen
from application.reconcile.ports import ReadSeen
from entrypoints.composition.serve import ServeContainer
from entrypoints.composition.topics import TopicsContainer


class RepairContainer(ServeContainer, TopicsContainer):
    read_seen: Provider[ReadSeen] = Singleton(
        partial,
        read_seen,
        TopicsContainer.kafka.provided.addresses,
        TopicsContainer.kafka.provided.kafka_user_events_topic,
        TopicsContainer.kafka_security,
    )
    overtake_seen = Factory(
        OvertakeSeen,
        read_seen=read_seen,
        directory=ServeContainer.user_directory,
        identities=ServeContainer.identities,
        users=ServeContainer.user_store,
        now_ms=ServeContainer.now_ms,
    )
