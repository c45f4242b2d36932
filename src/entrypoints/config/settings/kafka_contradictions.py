"""What is wrong with Kafka's variables only together: something is set, and nothing would use it."""

from collections.abc import Iterator, Mapping

from entrypoints.config.settings.kafka import KafkaSettings
from entrypoints.config.settings.kafka_values import SaslMechanism
from entrypoints.config.sources import ENVIRONMENT, ConfigProblem, SourceValue

_SASL = ("kafka_sasl_mechanism", "kafka_sasl_username", "kafka_sasl_password")
_EVENT_HUBS_USER, _EVENT_HUBS_PASSWORD = "$ConnectionString", "Endpoint=sb://"

_CERTIFICATES = "client certificates are not supported; KAFKA_SASL_MECHANISM says how to authenticate with a password"
_TOKENS = "OAUTHBEARER is not supported; KAFKA_SASL_MECHANISM says how to authenticate with a password"
_UNSUPPORTED: Mapping[str, str] = {
    **dict.fromkeys(
        (
            "KAFKA_SSL_CERT_FILE",
            "KAFKA_SSL_KEY_FILE",
            "KAFKA_SSL_KEY_PASSWORD",
            "KAFKA_SSL_CERTIFICATE_LOCATION",
            "KAFKA_SSL_KEY_LOCATION",
            "KAFKA_SSL_KEYSTORE_LOCATION",
            "KAFKA_CLIENT_CERT",  # Heroku's
            "KAFKA_CLIENT_CERT_KEY",
        ),
        _CERTIFICATES,
    ),
    **dict.fromkeys(
        ("KAFKA_OAUTH_TOKEN_URL", "KAFKA_OAUTH_CLIENT_ID", "KAFKA_OAUTH_CLIENT_SECRET", "KAFKA_OAUTH_SCOPE"), _TOKENS
    ),
    **dict.fromkeys(
        ("KAFKA_SSL_TRUSTSTORE_LOCATION", "KAFKA_SSL_CA_LOCATION", "KAFKA_TRUSTED_CERT"),
        "nothing reads it; KAFKA_SSL_CA_FILE names a file of certificates in PEM",
    ),
    "KAFKA_SASL_JAAS_CONFIG": "nothing reads it; KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD say the same",
}
"""Variables by which other clients ask for something that would be missing here without a word."""


def unsupported(found: Mapping[str, SourceValue]) -> Iterator[ConfigProblem]:
    """Name the variables that are set and ask for what this version cannot do."""
    yield from (ConfigProblem(name, what) for name, what in _UNSUPPORTED.items() if {name, f"{name}_FILE"} & set(found))


def contradictions(kafka: KafkaSettings, wrong: set[str]) -> Iterator[tuple[str, str]]:
    """Name variables of the group that need one another, and what is wrong.

    `wrong` are those whose own text was refused; they are there, which is all that is asked of them.
    """
    yield from _shared_topics(kafka, wrong)
    if "kafka_security_protocol" in wrong:
        return
    protocol = kafka.kafka_security_protocol
    if "kafka_bootstrap_servers" not in wrong:
        for number, server in enumerate(kafka.kafka_bootstrap_servers or (), 1):
            if protocol not in server.protocols:
                meant = " or ".join(sorted(server.protocols))
                what = f"entry {number}: its scheme means {meant}, but KAFKA_SECURITY_PROTOCOL is {protocol}"
                yield "kafka_bootstrap_servers", what
                break
    if protocol.sasl:
        for name in _SASL:
            if getattr(kafka, name) is None and name not in wrong:
                yield name, f"missing; {protocol} needs it"
        yield from _event_hubs(kafka, wrong)


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
    """Name what is set and left unused by KAFKA_SECURITY_PROTOCOL: credentials, say, beside a plain connection.

    A protocol in the environment stands over what `.env` says of any of them.
    """
    protocol = kafka.kafka_security_protocol
    said = found.get("KAFKA_SECURITY_PROTOCOL")
    names = [] if protocol.sasl else [name.upper() for name in _SASL]
    names += [] if protocol.tls else ["KAFKA_SSL_CA_FILE"]
    for name in names:
        each = found.get(name) or found.get(f"{name}_FILE")
        if each and (said is None or said.origin != ENVIRONMENT or each.origin == ENVIRONMENT):
            uses = "SSL and SASL_SSL do" if name == "KAFKA_SSL_CA_FILE" else "SASL_SSL does"
            default = "" if said else ", the default"
            yield ConfigProblem(
                name, f"set, but KAFKA_SECURITY_PROTOCOL is {protocol}{default}, which does not use it; {uses}"
            )


def _event_hubs(kafka: KafkaSettings, wrong: set[str]) -> Iterator[tuple[str, str]]:
    username, password = kafka.kafka_sasl_username, kafka.kafka_sasl_password
    if {"kafka_sasl_username", "kafka_sasl_password", "kafka_sasl_mechanism"} & wrong or not password:
        return
    is_theirs = password.get_secret_value().startswith(_EVENT_HUBS_PASSWORD)
    if is_theirs and username != _EVENT_HUBS_USER:
        what = f"Event Hubs wants {_EVENT_HUBS_USER}, literally; a shell, or Compose, replaces it unless it is quoted"
        yield "kafka_sasl_username", what
    if username == _EVENT_HUBS_USER and not is_theirs:
        yield "kafka_sasl_password", f"Event Hubs wants the connection string ({_EVENT_HUBS_PASSWORD}…)"
    if username == _EVENT_HUBS_USER and kafka.kafka_sasl_mechanism is not SaslMechanism.PLAIN:
        yield "kafka_sasl_mechanism", "Event Hubs wants PLAIN"
