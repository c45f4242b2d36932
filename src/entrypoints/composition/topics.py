"""`auth-service topic` and `events`: what works on Kafka alone; `doctor` and others use it too."""

from functools import partial
from typing import Any

from dependency_injector.containers import DeclarativeContainer
from dependency_injector.providers import Dependency, Provider, Singleton

from adapters.kafka import consumer, doctor, topics
from anomalyze_auth.kafka import KafkaConnection
from application.relay.ports import OpenTopicTail
from entrypoints.config.settings import KafkaSettings


class TopicsContainer(DeclarativeContainer):
    kafka: Dependency[KafkaSettings] = Dependency(instance_of=KafkaSettings)

    kafka_security = Singleton(KafkaConnection.security, kafka.provided.connection)
    tail_topic: Provider[OpenTopicTail] = Singleton(
        partial, consumer.tail_topic, kafka.provided.addresses, kafka.provided.kafka_user_events_topic, kafka_security
    )
    tail_session_topic: Provider[OpenTopicTail] = Singleton(
        partial,
        consumer.tail_topic,
        kafka.provided.addresses,
        kafka.provided.kafka_session_events_topic,
        kafka_security,
    )
    examine_topics: Provider[Any] = Singleton(
        partial, doctor.examine_topics, kafka.provided.addresses, kafka.provided.topics, kafka_security
    )
    create_topics: Provider[Any] = Singleton(
        partial, topics.create_topics, kafka.provided.addresses, kafka.provided.topics, kafka_security
    )
    add_partitions: Provider[Any] = Singleton(
        partial, topics.add_partitions, kafka.provided.addresses, security=kafka_security
    )
