"""`auth-service topic` and `events`: what works on Kafka alone; `doctor` and others use it too."""

from dependency_injector.containers import DeclarativeContainer
from dependency_injector.providers import Callable, Dependency, Singleton

from adapters.kafka import consumer
from adapters.kafka.doctor import examine_topics
from adapters.kafka.topics import add_partitions, create_topics
from anomalyze_auth.kafka import KafkaConnection
from entrypoints.config.settings import KafkaSettings


class TopicsContainer(DeclarativeContainer):
    kafka: Dependency[KafkaSettings] = Dependency(instance_of=KafkaSettings)

    kafka_security = Singleton(KafkaConnection.security, kafka.provided.connection)
    addresses = kafka.provided.addresses
    tail_topic = Callable(consumer.tail_topic, addresses, kafka.provided.kafka_user_events_topic, kafka_security)
    tail_session_topic = Callable(
        consumer.tail_topic, addresses, kafka.provided.kafka_session_events_topic, kafka_security
    )
    examine_topics = Callable(examine_topics, addresses, kafka.provided.topics, kafka_security)
    create_topics = Callable(create_topics, addresses, kafka.provided.topics, kafka_security)
    add_partitions = Callable(add_partitions, addresses, security=kafka_security)
