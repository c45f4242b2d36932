"""Kafka: where the brokers are, how they know us, and the topics."""

# ruff: noqa: RUF009  # a field is declared by a call

from pathlib import Path

from attrs import frozen

from application.relay.topics import TOPICS, Topic
from entrypoints.config import parsing
from entrypoints.config.secret import Secret
from entrypoints.config.settings import kafka_values
from entrypoints.config.settings.kafka_values import Broker, SaslMechanism, SecurityProtocol
from entrypoints.config.settings.variable import variable


@frozen
class KafkaSettings:
    kafka_bootstrap_servers: tuple[Broker, ...] = variable(
        kafka_values.brokers,
        "Kafka brokers, comma-separated. Only `auth-service relay` and the event commands need them.",
        example="localhost:9092",
    )
    kafka_security_protocol: SecurityProtocol = variable(
        kafka_values.security_protocol,
        f"How to reach them: {', '.join(SecurityProtocol)}.",
        example="PLAINTEXT",
        default=SecurityProtocol.PLAINTEXT,
    )
    kafka_sasl_mechanism: SaslMechanism | None = variable(
        kafka_values.sasl_mechanism, f"With SASL: {', '.join(SaslMechanism)}.", example="SCRAM-SHA-512", default=None
    )
    kafka_sasl_username: str | None = variable(
        parsing.line, "With SASL: who we are.", example="auth-service", default=None, in_file=True
    )
    kafka_sasl_password: Secret[str] | None = variable(
        parsing.secret(parsing.line), "With SASL: the password.", example="secret", default=None, in_file=True
    )
    kafka_ssl_ca_file: Path | None = variable(
        parsing.certificates,
        "With SSL: the certificate authority, when it is not one the system trusts.",
        example="/etc/ssl/kafka-ca.pem",
        default=None,
    )
    kafka_user_events_topic: str = variable(
        parsing.topic,
        "Where user events go. The relay never creates it.",
        example="auth.user.events.v1",
        default="auth.user.events.v1",
    )
    kafka_user_state_topic: str | None = variable(
        parsing.topic,
        "Where each user's newest version goes, compacted, for services that begin with all users. Unset: nowhere.",
        example="auth.user.state.v1",
        default=None,
    )
    kafka_session_events_topic: str = variable(
        parsing.topic,
        "Where ended sessions go, for services that refuse their tokens. The relay never creates it.",
        example="auth.session.events.v1",
        default="auth.session.events.v1",
    )

    @property
    def addresses(self) -> list[str]:
        """The brokers as clients want them: `host:port`."""
        return [broker.address for broker in self.kafka_bootstrap_servers]

    @property
    def topics(self) -> list[Topic]:
        """The topics of this installation; one that has no name is not used."""
        named = [(getattr(self, definition.variable.lower()), definition) for definition in TOPICS]
        return [Topic(name, definition) for name, definition in named if name]
