"""`auth-service topic repair`: reads the event topic too."""

from dependency_injector.providers import Callable, Factory

from adapters.kafka.seen import read_seen
from application.reconcile.overtake import OvertakeSeen
from entrypoints.composition.serve import ServeContainer
from entrypoints.composition.topics import TopicsContainer


class RepairContainer(ServeContainer, TopicsContainer):
    read_seen = Callable(
        read_seen,
        TopicsContainer.addresses,
        TopicsContainer.kafka.provided.kafka_user_events_topic,
        TopicsContainer.kafka_security,
    )
    overtake_seen = Factory(
        OvertakeSeen,
        read_seen=read_seen.provider,
        directory=ServeContainer.user_directory,
        identities=ServeContainer.identities,
        users=ServeContainer.user_store,
        now_ms=ServeContainer.now_ms,
    )
