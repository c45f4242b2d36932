"""What is wrong with Kafka's variables only together: the SDK's rules, which its consumers keep too."""

import os
from collections.abc import Iterator, Mapping

from entrypoints.config.settings.kafka import KafkaSettings, plain_values
from entrypoints.config.sources import ENVIRONMENT, ConfigProblem, SourceValue


def unsupported(found: Mapping[str, SourceValue]) -> Iterator[ConfigProblem]:
    """Name the variables that are set and that only other clients read."""
    from anomalyze_auth.kafka.contradictions import ELSEWHERE  # noqa: PLC0415  # not every command needs it

    yield from (ConfigProblem(name, what) for name, what in ELSEWHERE.items() if {name, f"{name}_FILE"} & set(found))


def contradictions(kafka: KafkaSettings, wrong: set[str]) -> Iterator[tuple[str, str]]:
    """Name variables of the group that need one another, and what is wrong; `wrong` are fields that were refused."""
    from anomalyze_auth.kafka.contradictions import contradictions as of_sdk  # noqa: PLC0415  # not every command needs it

    yield from _shared_topics(kafka, wrong)
    refused = {name.upper() for name in wrong}
    for name, what in of_sdk(plain_values(kafka), refused, os.environ):
        yield name.lower(), what


def _shared_topics(kafka: KafkaSettings, wrong: set[str]) -> Iterator[tuple[str, str]]:
    """Consumers of one topic must not meet what they cannot read, and a topic has one cleanup policy."""
    named: dict[str, str] = {}
    for name in ("kafka_user_events_topic", "kafka_user_state_topic", "kafka_session_events_topic"):
        topic = getattr(kafka, name)
        if topic is None or name in wrong:
            continue
        if topic in named:
            yield name, f"the same topic as {named[topic].upper()}; each needs one of its own"
        named.setdefault(topic, name)


def unused(found: Mapping[str, SourceValue], kafka: KafkaSettings) -> Iterator[ConfigProblem]:
    """Name what is set and left unused: credentials, say, beside a plain connection.

    A protocol or mechanism in the environment stands over what `.env` says of any of them.
    """
    from anomalyze_auth.kafka.contradictions import unused as of_sdk  # noqa: PLC0415  # not every command needs it
    from anomalyze_auth.kafka.values import SecurityProtocol  # noqa: PLC0415

    said = [found[name] for name in ("KAFKA_SECURITY_PROTOCOL", "KAFKA_SASL_MECHANISM") if name in found]
    in_environment = any(each.origin == ENVIRONMENT for each in said)
    default = "KAFKA_SECURITY_PROTOCOL" not in found
    for name, what in of_sdk(
        SecurityProtocol(kafka.kafka_security_protocol), kafka.kafka_sasl_mechanism, default=default
    ):
        each = found.get(name) or found.get(f"{name}_FILE")
        if each and (not in_environment or each.origin == ENVIRONMENT):
            yield ConfigProblem(name, what)
