"""`KafkaConnection`: the checked `KAFKA_*` variables, as arguments of Kafka clients."""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from anomalyze_auth.kafka import certificates, values
from anomalyze_auth.kafka.contradictions import ELSEWHERE, contradictions, unused
from anomalyze_auth.kafka.credentials import Credential, read_secret
from anomalyze_auth.kafka.values import Broker, SaslMechanism, SecurityProtocol

if TYPE_CHECKING:
    from faststream.security import BaseSecurity


class KafkaConfigurationError(Exception):
    """Variables are missing or wrong; the message names each of them, and repeats no value.

    `problems` holds the same as pairs: a variable, and what is wrong with it.
    """

    def __init__(self, problems: Sequence[tuple[str, str]]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(f"{name}: {what}" for name, what in problems))


@attrs.frozen(kw_only=True)
class KafkaConnection:
    """Connection settings of a cluster. Certificates, keys and secrets in files are read again when they change."""

    bootstrap_servers: tuple[str, ...]  # `host:port` each
    protocol: SecurityProtocol = SecurityProtocol.PLAINTEXT
    mechanism: SaslMechanism | None = None
    username: str | None = None
    password: Credential | None = None
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    key_password: Credential | None = None
    token_url: str | None = None
    client_id: str | None = None
    client_secret: Credential | None = None
    scope: str | None = None
    extensions: tuple[tuple[str, str], ...] = ()
    region: str | None = None  # of AWS, for AWS_MSK_IAM

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "KafkaConnection":
        """Read the variables that auth-service reads, by the same rules; `NAME_FILE` for secrets.

        Raises:
            KafkaConfigurationError: variables are missing or wrong; it names all of them.
        """
        texts = {name: text.strip() for name, text in environment.items() if name.startswith("KAFKA_") and text.strip()}
        problems: dict[str, str] = {}
        found: dict[str, Any] = {"KAFKA_SECURITY_PROTOCOL": SecurityProtocol.PLAINTEXT}
        files: dict[str, Path] = {}
        for name, read in READERS.items():
            found.setdefault(name, None)
            try:
                if (text := _text(name, texts, files)) is not None:
                    found[name] = text
                    found[name] = read(text)
            except ValueError as error:
                problems[name] = str(error)
        if found["KAFKA_BOOTSTRAP_SERVERS"] is None:
            problems.setdefault("KAFKA_BOOTSTRAP_SERVERS", "missing")
        for name, what in contradictions(found, set(problems), environment):
            problems.setdefault(name, what)
        if not problems:
            default = "KAFKA_SECURITY_PROTOCOL" not in texts
            useless = unused(found["KAFKA_SECURITY_PROTOCOL"], found["KAFKA_SASL_MECHANISM"], default=default)
            problems = {name: what for name, what in useless if found[name]}
        problems |= {name: what for name, what in ELSEWHERE.items() if name in texts}
        if problems:
            raise KafkaConfigurationError([*problems.items()])
        return cls.of(found, files, environment)

    @classmethod
    def of(
        cls, found: Mapping[str, Any], files: Mapping[str, Path], environment: Mapping[str, str]
    ) -> "KafkaConnection":
        """Create it from checked values, by variable; `files` are those that secrets were read from."""

        def credential(name: str) -> Credential | None:
            return Credential(found[name], files.get(name), name=name) if found[name] else None

        addresses = tuple(broker.address for broker in found["KAFKA_BOOTSTRAP_SERVERS"])
        return cls(
            bootstrap_servers=addresses,
            protocol=SecurityProtocol(found["KAFKA_SECURITY_PROTOCOL"]),
            mechanism=found["KAFKA_SASL_MECHANISM"],
            username=found["KAFKA_SASL_USERNAME"],
            password=credential("KAFKA_SASL_PASSWORD"),
            ca_file=found["KAFKA_SSL_CA_FILE"],
            cert_file=found["KAFKA_SSL_CERT_FILE"],
            key_file=found["KAFKA_SSL_KEY_FILE"],
            key_password=credential("KAFKA_SSL_KEY_PASSWORD"),
            token_url=found["KAFKA_OAUTH_TOKEN_URL"],
            client_id=found["KAFKA_OAUTH_CLIENT_ID"],
            client_secret=credential("KAFKA_OAUTH_CLIENT_SECRET"),
            scope=found["KAFKA_OAUTH_SCOPE"],
            extensions=found["KAFKA_OAUTH_EXTENSIONS"] or (),
            region=values.aws_region(addresses, environment),
        )

    def security(self) -> "BaseSecurity | None":
        """FastStream's security object; None for PLAINTEXT. `security.broker_options` gives it to a `KafkaBroker`.

        Raises:
            CertificateProblem, OSError: a file was changed since it was checked, and is not usable any more.
        """
        from anomalyze_auth.kafka.security import security_of  # noqa: PLC0415  (the extra `kafka`)

        return security_of(self)

    def broker_options(self) -> dict[str, Any]:
        """Arguments for FastStream's `KafkaBroker`: servers and security."""
        from anomalyze_auth.kafka.security import broker_options  # noqa: PLC0415  (the extra `kafka`)

        return {"bootstrap_servers": [*self.bootstrap_servers], **broker_options(self.security())}

    def client_options(self) -> dict[str, Any]:
        """Arguments for aiokafka's clients: servers and security."""
        from anomalyze_auth.kafka.security import client_options  # noqa: PLC0415  (the extra `kafka`)

        return {"bootstrap_servers": [*self.bootstrap_servers], **client_options(self.security())}


def brokers(value: str, read: Callable[[str], Broker] = values.broker) -> tuple[Broker, ...]:
    """Read a list of brokers; blanks, a trailing comma and repetitions are ignored."""
    entries = [entry.strip() for entry in value.split(",") if entry.strip()]
    if not entries:
        raise ValueError("the list is empty")
    found: dict[str, Broker] = {}
    problems = []
    for number, entry in enumerate(entries, 1):
        try:
            broker = read(entry)
            found[broker.address.lower()] = broker
        except ValueError as error:
            problems.append(str(error) if len(entries) == 1 else f"entry {number}: {error}")
    if problems:
        raise ValueError("; ".join(problems))
    return tuple(found.values())


READERS: Mapping[str, Callable[[str], Any]] = {
    "KAFKA_BOOTSTRAP_SERVERS": brokers,
    "KAFKA_SECURITY_PROTOCOL": values.security_protocol,
    "KAFKA_SASL_MECHANISM": values.sasl_mechanism,
    "KAFKA_SASL_USERNAME": values.line,
    "KAFKA_SASL_PASSWORD": values.line,
    "KAFKA_SSL_CA_FILE": certificates.authorities_file,
    "KAFKA_SSL_CERT_FILE": certificates.certificate_file,
    "KAFKA_SSL_KEY_FILE": certificates.key_file,
    "KAFKA_SSL_KEY_PASSWORD": values.line,
    "KAFKA_OAUTH_TOKEN_URL": values.token_url,
    "KAFKA_OAUTH_CLIENT_ID": values.line,
    "KAFKA_OAUTH_CLIENT_SECRET": values.line,
    "KAFKA_OAUTH_SCOPE": values.scope,
    "KAFKA_OAUTH_EXTENSIONS": values.extensions,
}
"""Every connection variable, and the function that reads its text."""

IN_FILE = (
    "KAFKA_SASL_USERNAME",
    "KAFKA_SASL_PASSWORD",
    "KAFKA_SSL_KEY_PASSWORD",
    "KAFKA_OAUTH_CLIENT_ID",
    "KAFKA_OAUTH_CLIENT_SECRET",
)
"""Variables that may be read from a file, by `NAME_FILE`."""


def _text(name: str, texts: Mapping[str, str], files: dict[str, Path]) -> str | None:
    named = texts.get(f"{name}_FILE") if name in IN_FILE else None
    if named is None:
        return texts.get(name)
    if name in texts:
        raise ValueError(f"set twice: {name} and {name}_FILE; keep one of them")
    try:
        text = read_secret(Path(named))
    except ValueError as error:
        raise ValueError(f"{name}_FILE: {error}") from None
    files[name] = Path(named)
    return text
