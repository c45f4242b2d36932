"""Kafka's variables in spellings that no table can show."""

import os

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sdktest.rows import each_row

from anomalyze_auth.kafka.connection import brokers
from anomalyze_auth.kafka.values import SaslMechanism, SecurityProtocol, broker, sasl_mechanism, security_protocol
from entrypoints.config.loading import load
from entrypoints.config.settings import EventsSettings
from entrypoints.config.sources import ConfigurationError
from support.web import NO_FILE


def kafka(env_file=NO_FILE, **environment: str):
    variables = {"KAFKA_BOOTSTRAP_SERVERS": "b:9092", **environment}
    return load(EventsSettings, environment=variables, env_file=env_file).kafka


def problems(env_file=NO_FILE, **environment: str) -> dict[str, str]:
    with pytest.raises(ConfigurationError) as caught:
        kafka(env_file, **environment)
    return {problem.variable: problem.what for problem in caught.value.problems}


@each_row(
    ("text", "address"),
    [
        ("kafka-1.kafka:9092", "kafka-1.kafka:9092"),
        ("kafka_1:9092", "kafka_1:9092"),
        ("host.example.:9092", "host.example.:9092"),
        ("10.0.0.1:1", "10.0.0.1:1"),
        ("[::1]:65535", "[::1]:65535"),
        ("kafka://host:9092/", "host:9092"),
        ("Sasl_Ssl://[::1]:9092", "[::1]:9092"),
        ("xn--bcher-kva.example:9092", "xn--bcher-kva.example:9092"),
    ],
)
def test_an_address(text, address):
    assert broker(text).address == address


@each_row(
    ("text", "what"),
    [
        ("host", "port is missing"),
        ("host:", "port is missing"),
        ("[::1]", "port is missing"),
        ("[::1]9092", "port is missing"),
        ("host:0", "the port is not a number"),
        ("host:+1", "the port is not a number"),
        ("host:\uff19\uff10", "the port is not a number"),
        (":9092", "not a host name"),
        ("-host:9092", "not a host name"),
        ("a..b:9092", "not a host name"),
        ("10.0.0.256:9092", "not a host name"),
        ("bücher.example:9092", "not a host name"),
        ("*:9092", "not a host name"),
        (f"{'a' * 64}:9092", "not a host name"),
        (".".join(["a" * 60] * 5) + ":9092", "not a host name"),
        ("::1:9092", "in brackets"),
        ("host:9092:9092", "in brackets"),
        ("[host]:9092", "not an IPv6 address"),
        ("[::1:9092", "not an IPv6 address"),
        ("host:9092/topic", "a path"),
        ("host:9092?x=y", "a path"),
        ("a:1;b:2", "separated by commas"),
        ('"host:9092"', "quotes"),
        ("'host:9092", "quotes"),
        ("host\u200b:9092", "invisible"),
        ("\ufeffhost:9092", "invisible"),
        ("host:9092\n", "invisible"),
        ("://host:9092", "the scheme"),
        ("http://host:9092", "the scheme"),
    ],
)
def test_what_is_no_address_is_refused_by_its_part(text, what):
    with pytest.raises(ValueError, match=what):
        broker(text)


@each_row("text", ["sasl_ssl", "SASL-SSL", "Sasl_Ssl", "SaslSsl", "sasl ssl", "SASL_TLS", "saslssl", "SASL__SSL"])
def test_a_protocol_in_any_spelling(text):
    assert security_protocol(text) is SecurityProtocol.SASL_SSL


@pytest.mark.parametrize("text", ["SCRAM-SHA-512", "scram_sha_512", "ScramSha512", "SCRAM-SHA512", "scram sha 512"])
def test_a_mechanism_in_any_spelling(text):
    assert sasl_mechanism(text) is SaslMechanism.SCRAM_SHA_512


@pytest.mark.parametrize("text", ["GSSAPI", "Kerberos", "SCRAM-SHA-1", "mTLS", "external"])
def test_a_mechanism_that_exists_elsewhere_is_refused_with_those_that_exist_here(text):
    with pytest.raises(ValueError, match="is not supported; what is: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER"):
        sasl_mechanism(text)


@pytest.mark.parametrize("text", ["\u017f\u017fl", "PLAIN", "SASL", "SSLv3", ""])
def test_what_is_no_protocol_is_refused(text):
    with pytest.raises(ValueError, match="not one of"):
        security_protocol(text)


# Not `st.text`, which also draws strings of this code: words of the message itself.
@given(st.lists(st.characters(), min_size=1).map("".join))
@example('""')
def test_whatever_is_written_is_an_address_or_refused_without_repeating_it(text):
    try:
        found = brokers(text)
    except ValueError as error:
        assert len(text) < 8 or text not in str(error)  # noqa: PT017
    else:
        assert all(each.address.rpartition(":")[2].isdecimal() for each in found)


@pytest.mark.parametrize("protocol", ["PLAINTEXT", "SSL"])
@pytest.mark.parametrize("name", ["KAFKA_SASL_MECHANISM", "KAFKA_SASL_USERNAME", "KAFKA_SASL_PASSWORD"])
def test_credentials_that_the_protocol_does_not_use_are_a_contradiction(protocol, name):
    assert list(problems(KAFKA_SECURITY_PROTOCOL=protocol, **{name: "PLAIN"})) == [name]


def test_credentials_in_a_file_count_too(tmp_path):
    (tmp_path / "password").write_text("x")

    assert list(problems(KAFKA_SASL_PASSWORD_FILE=str(tmp_path / "password"))) == ["KAFKA_SASL_PASSWORD"]


def test_a_protocol_in_the_environment_stands_over_credentials_in_dot_env(tmp_path):
    (tmp_path / ".env").write_text("KAFKA_SASL_USERNAME=me\nKAFKA_SECURITY_PROTOCOL=SASL_SSL\n")

    assert kafka(tmp_path / ".env", KAFKA_SECURITY_PROTOCOL="PLAINTEXT").kafka_sasl_username == "me"


@pytest.mark.parametrize(
    ("scheme", "protocol", "agree"),
    [
        ("kafka+ssl", "SSL", True),
        ("kafka+ssl", "PLAINTEXT", False),
        ("plaintext", "SSL", False),
        ("kafka", "SSL", True),
        ("ssl", "SSL", True),
    ],
)
def test_a_scheme_has_to_agree_with_the_protocol(scheme, protocol, agree):
    variables = {"KAFKA_BOOTSTRAP_SERVERS": f"{scheme}://b:9092", "KAFKA_SECURITY_PROTOCOL": protocol}
    if agree:
        assert kafka(**variables).addresses == ["b:9092"]
    else:
        assert list(problems(**variables)) == ["KAFKA_BOOTSTRAP_SERVERS"]


EVENT_HUBS = {
    "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
    "KAFKA_SASL_MECHANISM": "PLAIN",
    "KAFKA_SASL_USERNAME": "$ConnectionString",
    "KAFKA_SASL_PASSWORD": "Endpoint=sb://x/;SharedAccessKey=y=",
}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("KAFKA_SASL_USERNAME", "$Connectionstring"),
        ("KAFKA_SASL_PASSWORD", "y="),
        ("KAFKA_SASL_MECHANISM", "SCRAM-SHA-512"),
    ],
)
def test_event_hubs_credentials_belong_together(name, text):
    assert kafka(**EVENT_HUBS).kafka_sasl_username == "$ConnectionString"
    assert list(problems(**{**EVENT_HUBS, name: text})) == [name]


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"\xfe\xed\xfe\xed", "Java key store"),
        (b"\x30\x82\x01\x00", "DER"),
        (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "no certificates in PEM"),
        (b"", "no certificates in PEM"),
        (b"hello", "no certificates in PEM"),
        (None, "no such file"),
    ],
)
def test_what_is_no_authority_is_refused_by_what_it_is(tmp_path, content, what):
    file = tmp_path / "ca"
    if content is not None:
        file.write_bytes(content)

    assert what in problems(KAFKA_SECURITY_PROTOCOL="SSL", KAFKA_SSL_CA_FILE=str(file))["KAFKA_SSL_CA_FILE"]


@pytest.mark.parametrize("text", ["/", "file:///etc/ca.pem", os.devnull])
def test_a_path_that_names_no_file_is_refused(text):
    assert "KAFKA_SSL_CA_FILE" in problems(KAFKA_SECURITY_PROTOCOL="SSL", KAFKA_SSL_CA_FILE=text)


def test_what_is_asked_for_in_other_clients_words_is_named():
    found = problems(KAFKA_SECURITY_PROTOCOL="SSL", KAFKA_SSL_KEYSTORE_LOCATION="x", KAFKA_SASL_JAAS_CONFIG="y")

    assert list(found) == ["KAFKA_SSL_KEYSTORE_LOCATION", "KAFKA_SASL_JAAS_CONFIG"]
    assert "KAFKA_SSL_CERT_FILE" in found["KAFKA_SSL_KEYSTORE_LOCATION"]
    assert "KAFKA_OAUTH_CLIENT_ID" in found["KAFKA_SASL_JAAS_CONFIG"]


@each_row(
    ("text", "mechanism"),
    [("oauthbearer", "OAUTHBEARER"), ("OAuth_Bearer", "OAUTHBEARER"), ("aws-msk-iam", "AWS_MSK_IAM")],
)
def test_a_mechanism_with_tokens_in_any_spelling(text, mechanism):
    assert sasl_mechanism(text) == mechanism


@each_row(
    ("variables", "named"),
    [
        ({"KAFKA_SESSION_EVENTS_TOPIC": "auth.user.events.v1"}, "KAFKA_SESSION_EVENTS_TOPIC"),
        ({"KAFKA_USER_STATE_TOPIC": "one", "KAFKA_SESSION_EVENTS_TOPIC": "one"}, "KAFKA_SESSION_EVENTS_TOPIC"),
        ({"KAFKA_USER_EVENTS_TOPIC": "one", "KAFKA_USER_STATE_TOPIC": "one"}, "KAFKA_USER_STATE_TOPIC"),
    ],
)
def test_one_topic_for_two_purposes_stops_the_start(variables, named):
    assert "the same topic as KAFKA_USER_" in problems(**variables)[named]


def test_sessions_have_a_topic_whether_it_is_named_or_not():
    assert kafka().kafka_session_events_topic == "auth.session.events.v1"
    assert [topic.name for topic in kafka(KAFKA_SESSION_EVENTS_TOPIC="ended").topics] == [
        "auth.user.events.v1",
        "ended",
    ]
