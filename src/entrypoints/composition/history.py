"""`auth-service users history` and `users erased`: what reads the traces of a user, in PostgreSQL and in Kafka."""

from dependency_injector.providers import Provider, Singleton

from adapters.kafka.topic_search import KafkaTopicSearch
from adapters.postgres.stored_traces import PostgresStoredTraces
from adapters.postgres.user_reader import PostgresUserReader
from application.history.erasure import CheckErasure
from application.history.ports import SearchTopics, StoredTracesReader
from application.history.user_history import ReadHistory
from application.users.ports import UserReader
from entrypoints.composition.postgres import PostgresContainer
from entrypoints.composition.topics import TopicsContainer


class HistoryContainer(PostgresContainer, TopicsContainer):
    user_reader: Provider[UserReader] = Singleton(PostgresUserReader, PostgresContainer.engine)
    stored_traces: Provider[StoredTracesReader] = Singleton(PostgresStoredTraces, PostgresContainer.engine)
    search_topics: Provider[SearchTopics] = Singleton(
        KafkaTopicSearch, TopicsContainer.addresses, TopicsContainer.kafka_security
    )
    read_history = Singleton(
        ReadHistory, user_reader, stored_traces, search_topics, TopicsContainer.kafka.provided.kafka_user_events_topic
    )
    check_erasure = Singleton(
        CheckErasure, user_reader, stored_traces, search_topics, TopicsContainer.examine_topics.provider
    )
