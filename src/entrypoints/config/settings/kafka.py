"""Kafka: where the brokers are, how they admit this service, the topics, and which variables contradict each other."""

# ruff: noqa: RUF009  # a field is declared by a call

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import NOTHING, frozen

from application.relay.topics import EVENTS, SESSIONS, STATE, TOPICS, Topic
from entrypoints.config import parsing
from entrypoints.config.secret import Secret
from entrypoints.config.settings.variable import variable
from entrypoints.config.sources import ENVIRONMENT, ConfigProblem, SourceValue
from entrypoints.config.written import forgiving

if TYPE_CHECKING:
    from anomalyze_auth.kafka import KafkaConnection
    from anomalyze_auth.kafka.values import Broker, SaslMechanism, SecurityProtocol


def _shared(name: str) -> Callable[[str], Any]:
    """Read a variable as the SDK does, which is imported when there is one to read: it imports cryptography."""

    def parse(text: str) -> Any:
        from anomalyze_auth.kafka.connection import READERS  # noqa: PLC0415

        return READERS[name](text)

    return parse


def _brokers(text: str) -> "tuple[Broker, ...]":
    from anomalyze_auth.kafka.connection import brokers  # noqa: PLC0415
    from anomalyze_auth.kafka.values import broker  # noqa: PLC0415

    return brokers(text, forgiving(broker))


@frozen
class KafkaSettings:
    # fmt: off
    kafka_bootstrap_servers: "tuple[Broker, ...]" = variable(_brokers,
        "Kafka brokers, comma-separated. Only `auth-service relay` and the event commands need them.",
        example="localhost:9092", default=NOTHING)
    kafka_security_protocol: "SecurityProtocol" = variable(_shared("KAFKA_SECURITY_PROTOCOL"),
        "The protocol of the brokers: PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL.", default="PLAINTEXT")
    kafka_sasl_mechanism: "SaslMechanism | None" = variable(_shared("KAFKA_SASL_MECHANISM"),
        "With SASL: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER, AWS_MSK_IAM.", example="SCRAM-SHA-512")
    kafka_sasl_username: str | None = variable(_shared("KAFKA_SASL_USERNAME"),
        "With PLAIN and SCRAM: the user name.", example="auth-service", in_file=True)
    kafka_sasl_password: Secret[str] | None = variable(parsing.secret(_shared("KAFKA_SASL_PASSWORD")),
        "With PLAIN and SCRAM: the password.", example="secret", in_file=True)
    kafka_ssl_ca_file: Path | None = variable(_shared("KAFKA_SSL_CA_FILE"),
        "With SSL: the certificate authority, if the system does not trust it.", example="/etc/ssl/kafka-ca.pem")
    kafka_ssl_cert_file: Path | None = variable(_shared("KAFKA_SSL_CERT_FILE"),
        "With SSL: the client certificate in PEM, with its chain, for brokers that require one.",
        example="/etc/kafka-user/user.crt")
    kafka_ssl_key_file: Path | None = variable(_shared("KAFKA_SSL_KEY_FILE"),
        "The private key of KAFKA_SSL_CERT_FILE, in PEM.", example="/etc/kafka-user/user.key")
    kafka_ssl_key_password: Secret[str] | None = variable(parsing.secret(_shared("KAFKA_SSL_KEY_PASSWORD")),
        "The password of KAFKA_SSL_KEY_FILE, when it is encrypted.", example="secret", in_file=True)
    kafka_oauth_token_url: str | None = variable(_shared("KAFKA_OAUTH_TOKEN_URL"),
        "With OAUTHBEARER: the token endpoint, which grants access tokens for client credentials.",
        example="https://keycloak.example.com/realms/platform/protocol/openid-connect/token")
    kafka_oauth_client_id: str | None = variable(_shared("KAFKA_OAUTH_CLIENT_ID"),
        "With OAUTHBEARER: the client.", example="auth", in_file=True)
    kafka_oauth_client_secret: Secret[str] | None = variable(parsing.secret(_shared("KAFKA_OAUTH_CLIENT_SECRET")),
        "With OAUTHBEARER: the client's secret.", example="secret", in_file=True)
    kafka_oauth_scope: str | None = variable(_shared("KAFKA_OAUTH_SCOPE"),
        "With OAUTHBEARER: scopes to request, separated by blanks, if the endpoint requires them.", example="kafka")
    kafka_oauth_extensions: tuple[tuple[str, str], ...] = variable(_shared("KAFKA_OAUTH_EXTENSIONS"),
        "With OAUTHBEARER: SASL extensions as name=value, comma-separated, if the brokers require them.",
        example="logicalCluster=lkc-abc123,identityPoolId=pool-abc1", default=())
    kafka_user_events_topic: str = variable(parsing.topic,
        "Topic of user events. The relay never creates it.", default=EVENTS.default_name)
    kafka_user_state_topic: str | None = variable(parsing.topic,
        "Compacted topic with each user's newest version, for services that need all users. Unset: none.",
        example=STATE.default_name)
    kafka_session_events_topic: str = variable(parsing.topic,
        "Topic of ended sessions, for services that refuse their tokens. The relay never creates it.",
        default=SESSIONS.default_name)
    # fmt: on

    @property
    def addresses(self) -> list[str]:
        """The brokers as clients want them: `host:port`."""
        return [broker.address for broker in self.kafka_bootstrap_servers]

    @property
    def connection(self) -> "KafkaConnection":
        """How to be admitted; what is in files is read again when it changes."""
        from anomalyze_auth.kafka import KafkaConnection  # noqa: PLC0415

        files = {name: each.file for name, each in _values(self).items() if isinstance(each, Secret) and each.file}
        return KafkaConnection.of(plain_values(self), files, os.environ)

    @property
    def topics(self) -> list[Topic]:
        """The topics of this installation; one that has no name is not used."""
        named = [(getattr(self, definition.variable.lower()), definition) for definition in TOPICS]
        return [Topic(name, definition) for name, definition in named if name]


def plain_values(kafka: KafkaSettings) -> dict[str, Any]:
    """Return what the SDK wants to know, by variable, secrets as they are."""
    return {
        name: value.get_secret_value() if isinstance(value, Secret) else value for name, value in _values(kafka).items()
    }


def _values(kafka: KafkaSettings) -> dict[str, Any]:
    from anomalyze_auth.kafka.connection import READERS  # noqa: PLC0415

    return {name: getattr(kafka, name.lower()) for name in READERS}


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
    for name in (definition.variable.lower() for definition in TOPICS):
        topic = getattr(kafka, name)
        if topic is None or name in wrong:
            continue
        if topic in named:
            yield name, f"the same topic as {named[topic].upper()}; each needs one of its own"
        named.setdefault(topic, name)


def unused(found: Mapping[str, SourceValue], kafka: KafkaSettings) -> Iterator[ConfigProblem]:
    """Name what is set and left unused; a protocol or mechanism in the environment stands over all of `.env`."""
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
