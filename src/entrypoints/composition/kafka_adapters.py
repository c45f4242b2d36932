"""The adapters on Kafka, made of the settings of a command."""

from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import TYPE_CHECKING, Any

from application.relay.topics import TOPICS, Topic, TopicFacts
from entrypoints.config.settings import KafkaSettings

if TYPE_CHECKING:
    from faststream.security import BaseSecurity

    from adapters.kafka.consumer import KafkaTopicTail
    from adapters.kafka.publisher import KafkaPublisher
    from adapters.kafka.state_publisher import KafkaStatePublisher

# Adapters are imported where they are made: svix alone takes 0.4 s, and no process needs all of them.
# ruff: noqa: PLC0415


def _kafka_security(settings: KafkaSettings) -> "BaseSecurity | None":
    from adapters.kafka.security import security

    return security(
        settings.kafka_security_protocol,
        settings.kafka_sasl_mechanism,
        username=settings.kafka_sasl_username,
        password=settings.kafka_sasl_password.get_secret_value() if settings.kafka_sasl_password else None,
        ca_file=settings.kafka_ssl_ca_file,
    )


def publisher(settings: KafkaSettings) -> "KafkaPublisher":
    from adapters.kafka.publisher import KafkaPublisher

    return KafkaPublisher(settings.addresses, settings.kafka_user_events_topic, _kafka_security(settings))


def state_publisher(settings: KafkaSettings) -> "KafkaStatePublisher | None":
    """Return what feeds the state topic; `None` when there is none."""
    from adapters.kafka.state_publisher import KafkaStatePublisher

    if settings.kafka_user_state_topic is None:
        return None
    return KafkaStatePublisher(settings.addresses, settings.kafka_user_state_topic, _kafka_security(settings))


def tail_topic(settings: KafkaSettings) -> "Callable[..., AbstractAsyncContextManager[KafkaTopicTail]]":
    from adapters.kafka.consumer import tail_topic

    return partial(tail_topic, settings.addresses, settings.kafka_user_events_topic, _kafka_security(settings))


def topics(settings: KafkaSettings) -> list[Topic]:
    """Return the topics of this installation; one that has no name is not used."""
    named = [(getattr(settings, definition.variable.lower()), definition) for definition in TOPICS]
    return [Topic(name, definition) for name, definition in named if name]


def examine_topics(settings: KafkaSettings) -> Callable[[], Coroutine[Any, Any, list[TopicFacts]]]:
    from adapters.kafka.doctor import examine_topics

    return partial(examine_topics, settings.addresses, topics(settings), _kafka_security(settings))


def create_topics(settings: KafkaSettings) -> Callable[..., Coroutine[Any, Any, list[str]]]:
    from adapters.kafka.topics import create_topics

    return partial(create_topics, settings.addresses, topics(settings), _kafka_security(settings))


def add_partitions(settings: KafkaSettings) -> Callable[..., Coroutine[Any, Any, None]]:
    from adapters.kafka.topics import add_partitions

    security = _kafka_security(settings)

    async def added(topic: str, *, partitions: int) -> None:
        await add_partitions(settings.addresses, topic, security, partitions=partitions)

    return added


def asyncapi_document() -> Callable[[str, str], dict[str, Any]]:
    from adapters.kafka.asyncapi import document

    return document
