"""Check the `KAFKA_*` variables against each other: a variable is missing, or is set but would not be used."""

from collections.abc import Collection, Iterator, Mapping
from importlib.util import find_spec
from typing import Any

from anomalyze_auth.kafka.certificates import CertificateProblem, check_pair
from anomalyze_auth.kafka.values import Broker, SaslMechanism, SecurityProtocol, aws_region

Problems = Iterator[tuple[str, str]]
"""Pairs of a variable and what is wrong with it."""

_PASSWORD = ("KAFKA_SASL_USERNAME", "KAFKA_SASL_PASSWORD")
_SASL = ("KAFKA_SASL_MECHANISM", *_PASSWORD)
_TOKEN = ("KAFKA_OAUTH_TOKEN_URL", "KAFKA_OAUTH_CLIENT_ID", "KAFKA_OAUTH_CLIENT_SECRET")
_OAUTH = (*_TOKEN, "KAFKA_OAUTH_SCOPE", "KAFKA_OAUTH_EXTENSIONS")
_CERTIFICATE = ("KAFKA_SSL_CERT_FILE", "KAFKA_SSL_KEY_FILE", "KAFKA_SSL_KEY_PASSWORD")
_TLS = ("KAFKA_SSL_CA_FILE", *_CERTIFICATE)
_EVENT_HUBS_USER, _EVENT_HUBS_PASSWORD = "$ConnectionString", "Endpoint=sb://"

_FILES = "nothing reads it; KAFKA_SSL_CERT_FILE and KAFKA_SSL_KEY_FILE name files in PEM"
ELSEWHERE: Mapping[str, str] = {
    **dict.fromkeys(
        (
            "KAFKA_SSL_CERTIFICATE_LOCATION",
            "KAFKA_SSL_KEY_LOCATION",
            "KAFKA_SSL_KEYSTORE_LOCATION",
            "KAFKA_CLIENT_CERT",  # Heroku's
            "KAFKA_CLIENT_CERT_KEY",
        ),
        _FILES,
    ),
    **dict.fromkeys(
        ("KAFKA_SSL_TRUSTSTORE_LOCATION", "KAFKA_SSL_CA_LOCATION", "KAFKA_TRUSTED_CERT"),
        "nothing reads it; KAFKA_SSL_CA_FILE names a file of certificates in PEM",
    ),
    **dict.fromkeys(
        ("KAFKA_SASL_OAUTHBEARER_TOKEN_ENDPOINT_URL", "KAFKA_OAUTH_TOKEN_ENDPOINT_URI"),
        "nothing reads it; KAFKA_OAUTH_TOKEN_URL names the token endpoint",
    ),
    "KAFKA_SASL_JAAS_CONFIG": "nothing reads it; KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD say the same, and for "
    "OAUTHBEARER KAFKA_OAUTH_CLIENT_ID and KAFKA_OAUTH_CLIENT_SECRET",
}
"""Variables of other clients, which would be ignored silently."""


def contradictions(values: Mapping[str, Any], wrong: Collection[str], environment: Mapping[str, str]) -> Problems:
    """Yield variables that contradict or need each other.

    Args:
        values: by variable; None or empty where it is not set. Secrets are plain texts.
        wrong: variables whose own value was refused; they count as set.
        environment: for AWS's own variables.
    """
    if "KAFKA_SECURITY_PROTOCOL" in wrong:
        return
    protocol = SecurityProtocol(values["KAFKA_SECURITY_PROTOCOL"])
    if "KAFKA_BOOTSTRAP_SERVERS" not in wrong:
        yield from _schemes(values["KAFKA_BOOTSTRAP_SERVERS"] or (), protocol)
    if protocol.sasl and "KAFKA_SASL_MECHANISM" not in wrong:
        yield from _sasl(values, wrong, protocol, environment)
    if protocol.tls:
        yield from _certificate(values, wrong)


def unused(protocol: SecurityProtocol, mechanism: SaslMechanism | None, *, default: bool) -> Problems:
    """Yield every variable that would not be used, and why; `default`: the protocol is not set explicitly."""
    says = f"KAFKA_SECURITY_PROTOCOL is {protocol}{', the default' if default else ''}, which does not use it"
    if not protocol.tls:
        yield from ((name, f"set, but {says}; SSL and SASL_SSL do") for name in _TLS)
    if not protocol.sasl:
        yield from ((name, f"set, but {says}; SASL_SSL does") for name in (*_SASL, *_OAUTH))
    elif mechanism is not None:
        says = f"set, but KAFKA_SASL_MECHANISM is {mechanism}, which does not use it"
        if not mechanism.password:
            yield from ((name, says) for name in _PASSWORD)
        if mechanism is not SaslMechanism.OAUTHBEARER:
            yield from ((name, says) for name in _OAUTH)


def _schemes(servers: Collection[Broker], protocol: SecurityProtocol) -> Problems:
    for number, server in enumerate(servers, 1):
        if protocol not in server.protocols:
            meant = " or ".join(sorted(server.protocols))
            what = f"entry {number}: its scheme means {meant}, but KAFKA_SECURITY_PROTOCOL is {protocol}"
            yield "KAFKA_BOOTSTRAP_SERVERS", what
            return


def _sasl(
    values: Mapping[str, Any], wrong: Collection[str], protocol: SecurityProtocol, environment: Mapping[str, str]
) -> Problems:
    mechanism = values["KAFKA_SASL_MECHANISM"]
    if mechanism is SaslMechanism.AWS_MSK_IAM:
        yield from _msk(values, wrong, protocol, environment)
        return
    if mechanism is None and any(values[name] for name in _OAUTH):
        yield "KAFKA_SASL_MECHANISM", f"missing; {protocol} needs it (the KAFKA_OAUTH_… variables are of OAUTHBEARER)"
        return
    needed = _TOKEN if mechanism is SaslMechanism.OAUTHBEARER else _SASL
    for name in needed:
        if not values[name] and name not in wrong:
            yield name, f"missing; {mechanism if needed is _TOKEN else protocol} needs it"
    if needed is _SASL:
        yield from _event_hubs(values, wrong)


def _msk(
    values: Mapping[str, Any], wrong: Collection[str], protocol: SecurityProtocol, environment: Mapping[str, str]
) -> Problems:
    if not protocol.tls:
        yield "KAFKA_SECURITY_PROTOCOL", "AWS_MSK_IAM needs SASL_SSL"
    if find_spec("aws_msk_iam_sasl_signer") is None:
        what = "AWS_MSK_IAM needs the package aws-msk-iam-sasl-signer-python (the extra `msk`), which is not installed"
        yield "KAFKA_SASL_MECHANISM", what
    addresses = [server.address for server in values["KAFKA_BOOTSTRAP_SERVERS"] or ()] if not wrong else []
    if not wrong and aws_region(addresses, environment) is None:
        yield "KAFKA_BOOTSTRAP_SERVERS", "no name in it holds an AWS region; set AWS_REGION"


def _certificate(values: Mapping[str, Any], wrong: Collection[str]) -> Problems:
    certificate, key, password = (values[name] for name in _CERTIFICATE)
    if certificate and not key:
        yield "KAFKA_SSL_KEY_FILE", "missing; KAFKA_SSL_CERT_FILE needs its key (one file may hold both: name it twice)"
    if key and not certificate:
        yield "KAFKA_SSL_CERT_FILE", "missing; KAFKA_SSL_KEY_FILE is the key to a certificate"
    if password and not key:
        yield "KAFKA_SSL_KEY_PASSWORD", "set, but there is no KAFKA_SSL_KEY_FILE"
    if certificate and key and not {*_CERTIFICATE} & {*wrong}:
        try:
            check_pair(certificate.read_bytes(), key.read_bytes(), password or None)
        except CertificateProblem as problem:
            yield problem.variable, problem.what
        except OSError as error:
            yield "KAFKA_SSL_CERT_FILE", f"the certificate or its key cannot be read ({error.strerror})"


def _event_hubs(values: Mapping[str, Any], wrong: Collection[str]) -> Problems:
    username, password = values["KAFKA_SASL_USERNAME"], values["KAFKA_SASL_PASSWORD"]
    if {*_SASL} & {*wrong} or not password:
        return
    is_theirs = password.startswith(_EVENT_HUBS_PASSWORD)
    if is_theirs and username != _EVENT_HUBS_USER:
        what = f"Event Hubs wants {_EVENT_HUBS_USER}, literally; a shell, or Compose, replaces it unless it is quoted"
        yield "KAFKA_SASL_USERNAME", what
    if username == _EVENT_HUBS_USER and not is_theirs:
        yield "KAFKA_SASL_PASSWORD", f"Event Hubs wants the connection string ({_EVENT_HUBS_PASSWORD}…)"
    if username == _EVENT_HUBS_USER and values["KAFKA_SASL_MECHANISM"] is not SaslMechanism.PLAIN:
        yield "KAFKA_SASL_MECHANISM", "Event Hubs wants PLAIN"
