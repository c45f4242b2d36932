"""The adapters on Kafka, made of the settings of a command."""

from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import TYPE_CHECKING, Any

from application.examination import TopicFacts
from entrypoints.settings import KafkaSettings

if TYPE_CHECKING:
    from faststream.security import BaseSecurity

    from adapters.kafka.consumer import TopicTail
    from adapters.kafka.publisher import KafkaPublisher

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

    return KafkaPublisher(settings.kafka_bootstrap_servers, settings.kafka_user_events_topic, _kafka_security(settings))


def tail_topic(settings: KafkaSettings) -> "Callable[..., AbstractAsyncContextManager[TopicTail]]":
    from adapters.kafka.consumer import tail_topic

    return partial(
        tail_topic, settings.kafka_bootstrap_servers, settings.kafka_user_events_topic, _kafka_security(settings)
    )


def examine_topic(settings: KafkaSettings) -> Callable[[], Awaitable[TopicFacts]]:
    from adapters.kafka.examination import examine_topic

    return partial(
        examine_topic, settings.kafka_bootstrap_servers, settings.kafka_user_events_topic, _kafka_security(settings)
    )


def create_topic(settings: KafkaSettings) -> Callable[..., Coroutine[Any, Any, bool]]:
    from adapters.kafka.topics import create_topic

    return partial(
        create_topic, settings.kafka_bootstrap_servers, settings.kafka_user_events_topic, _kafka_security(settings)
    )


def asyncapi_document() -> Callable[[str], dict[str, Any]]:
    from adapters.kafka.asyncapi import document

    return document
