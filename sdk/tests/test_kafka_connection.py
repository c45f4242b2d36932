"""What the `KAFKA_*` variables become, and what is wrong with them."""

import subprocess
import sys

import pytest
from faststream.kafka import KafkaBroker
from hypothesis import given
from hypothesis import strategies as st

from anomalyze_auth.kafka import KafkaConfigurationError, KafkaConnection
from anomalyze_auth.kafka.connection import IN_FILE, READERS
from sdktest.certificates import Authority

SCRAM = {
    "KAFKA_BOOTSTRAP_SERVERS": "b-1:9092,b-2:9092",
    "KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
    "KAFKA_SASL_MECHANISM": "SCRAM-SHA-512",
    "KAFKA_SASL_USERNAME": "me",
    "KAFKA_SASL_PASSWORD": "p",
}
OAUTH = {
    "KAFKA_BOOTSTRAP_SERVERS": "b-1:9092",
    "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
    "KAFKA_SASL_MECHANISM": "OAUTHBEARER",
    "KAFKA_OAUTH_TOKEN_URL": "https://oidc.example.com/token",
    "KAFKA_OAUTH_CLIENT_ID": "me",
    "KAFKA_OAUTH_CLIENT_SECRET": "s3cret",
    "KAFKA_OAUTH_EXTENSIONS": "logicalCluster=lkc-1, identityPoolId=pool-1",
}


def problems(**environment: str) -> dict[str, str]:
    with pytest.raises(KafkaConfigurationError) as caught:
        KafkaConnection.from_environment(environment)
    assert all(f"{name}: {what}" in str(caught.value) for name, what in caught.value.problems)
    return dict(caught.value.problems)


def test_plain_brokers_need_nothing_else():
    connection = KafkaConnection.from_environment({"KAFKA_BOOTSTRAP_SERVERS": "localhost:9092", "HOME": "/"})

    assert connection.client_options() == {"bootstrap_servers": ["localhost:9092"]}
    assert connection.broker_options() == {"bootstrap_servers": ["localhost:9092"], "security": None}


def test_a_password_is_read_again_for_each_client(tmp_path):
    file = tmp_path / "password"
    file.write_text("one\n")
    variables = {name: text for name, text in SCRAM.items() if name != "KAFKA_SASL_PASSWORD"}
    connection = KafkaConnection.from_environment({**variables, "KAFKA_SASL_PASSWORD_FILE": str(file)})
    first = connection.client_options()
    file.write_text("two\n")
    second = connection.client_options()

    assert (first["sasl_plain_password"], second["sasl_plain_password"]) == ("one", "two")
    assert (first["sasl_mechanism"], first["sasl_plain_username"]) == ("SCRAM-SHA-512", "me")
    assert first["security_protocol"] == "SASL_PLAINTEXT"


@pytest.mark.parametrize("variables", [SCRAM, OAUTH])
def test_faststream_takes_what_there_is(variables):
    connection = KafkaConnection.from_environment(variables)

    assert KafkaBroker(**connection.broker_options()).specification.security is not None
    assert "s3cret" not in repr(connection)


def test_extensions_go_with_each_token():
    provider = KafkaConnection.from_environment(OAUTH).client_options()["sasl_oauth_token_provider"]

    assert provider.extensions() == {"logicalCluster": "lkc-1", "identityPoolId": "pool-1"}


def test_all_that_is_wrong_is_named_at_once_and_no_value_is_repeated(tmp_path):
    found = problems(
        KAFKA_SECURITY_PROTOCOL="SASL_SSL",
        KAFKA_SASL_MECHANISM="OAUTHBEARER",
        KAFKA_OAUTH_TOKEN_URL="ftp://hunter2",
        KAFKA_OAUTH_CLIENT_ID="me",
        KAFKA_OAUTH_CLIENT_ID_FILE=str(tmp_path),
        KAFKA_OAUTH_SCOPE="a  b",
        KAFKA_OAUTH_EXTENSIONS="auth=hunter2",
        KAFKA_SSL_CA_FILE="/nowhere/hunter2",
        KAFKA_SASL_JAAS_CONFIG="hunter2",
    )

    assert set(found) == {
        "KAFKA_BOOTSTRAP_SERVERS",
        "KAFKA_OAUTH_TOKEN_URL",
        "KAFKA_OAUTH_CLIENT_ID",
        "KAFKA_OAUTH_CLIENT_SECRET",
        "KAFKA_OAUTH_SCOPE",
        "KAFKA_OAUTH_EXTENSIONS",
        "KAFKA_SSL_CA_FILE",
        "KAFKA_SASL_JAAS_CONFIG",
    }
    assert found["KAFKA_OAUTH_CLIENT_ID"].startswith("set twice")
    assert "hunter2" not in str(found)


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"KAFKA_SASL_MECHANISM": ""}, "KAFKA_SASL_MECHANISM"),
        ({"KAFKA_SASL_USERNAME": "me"}, "KAFKA_SASL_USERNAME"),
        ({"KAFKA_SASL_PASSWORD": "p"}, "KAFKA_SASL_PASSWORD"),
        ({"KAFKA_OAUTH_CLIENT_SECRET": ""}, "KAFKA_OAUTH_CLIENT_SECRET"),
        ({"KAFKA_OAUTH_CLIENT_ID": ""}, "KAFKA_OAUTH_CLIENT_ID"),
        ({"KAFKA_OAUTH_TOKEN_URL": ""}, "KAFKA_OAUTH_TOKEN_URL"),
        ({"KAFKA_OAUTH_TOKEN_URL": "http://oidc.example.com/token"}, "KAFKA_OAUTH_TOKEN_URL"),
        ({"KAFKA_OAUTH_TOKEN_URL": "https://me:hunter2@oidc.example.com/token"}, "KAFKA_OAUTH_TOKEN_URL"),
        ({"KAFKA_OAUTH_TOKEN_URL": "https://oidc.example.com/#token"}, "KAFKA_OAUTH_TOKEN_URL"),
        ({"KAFKA_SSL_KEY_PASSWORD": "x"}, "KAFKA_SSL_KEY_PASSWORD"),
    ],
)
def test_what_does_not_go_with_tokens_is_refused(changes, name):
    assert list(problems(**{**OAUTH, **changes})) == [name]


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/t", "http://localhost/t", "http://keycloak.test/t", "https://x/t"])
def test_a_token_endpoint_on_this_machine_or_of_a_test_needs_no_tls(url):
    assert KafkaConnection.from_environment({**OAUTH, "KAFKA_OAUTH_TOKEN_URL": url}).token_url == url


@pytest.mark.parametrize("protocol", ["PLAINTEXT", "SASL_PLAINTEXT"])
def test_certificates_without_tls_are_refused(protocol, tmp_path):
    certificate, key = Authority(tmp_path).issue("me")
    variables = {**SCRAM} if protocol == "SASL_PLAINTEXT" else {"KAFKA_BOOTSTRAP_SERVERS": "b:1"}
    files = {"KAFKA_SSL_CERT_FILE": str(certificate), "KAFKA_SSL_KEY_FILE": str(key)}

    assert list(problems(**variables, **files)) == ["KAFKA_SSL_CERT_FILE", "KAFKA_SSL_KEY_FILE"]


def test_one_file_may_hold_certificate_and_key(tmp_path):
    certificate, key = Authority(tmp_path).issue("me")
    (tmp_path / "both.pem").write_bytes(certificate.read_bytes() + key.read_bytes())
    both = str(tmp_path / "both.pem")
    variables = {"KAFKA_BOOTSTRAP_SERVERS": "b:1", "KAFKA_SECURITY_PROTOCOL": "SSL"}

    assert KafkaConnection.from_environment(
        {**variables, "KAFKA_SSL_CERT_FILE": both, "KAFKA_SSL_KEY_FILE": both}
    ).client_options()["ssl_context"]
    assert list(problems(**variables, KAFKA_SSL_CERT_FILE=both)) == ["KAFKA_SSL_KEY_FILE"]


NAMES = [*READERS, *(f"{name}_FILE" for name in IN_FILE)]
TEXTS = st.sampled_from(["SASL_SSL", "SSL", "OAUTHBEARER", "PLAIN", "b:1", "https://x/t", "/nowhere"]) | st.text()


@given(st.dictionaries(st.sampled_from(NAMES), TEXTS.map(lambda text: text.replace("\0", ""))))
def test_whatever_is_written_is_a_connection_or_named(environment):
    try:
        connection = KafkaConnection.from_environment(environment)
    except KafkaConfigurationError as error:
        named = {name for name, _ in error.problems}
    else:
        named = {"KAFKA_BOOTSTRAP_SERVERS"}
        assert connection.bootstrap_servers
    assert named
    assert named <= set(READERS)


def test_reading_the_variables_imports_no_client():
    code = (
        "import sys; from anomalyze_auth.kafka import KafkaConnection; "
        "KafkaConnection.from_environment({'KAFKA_BOOTSTRAP_SERVERS': 'b:1'}); "
        "print([name for name in ('faststream', 'aiokafka', 'httpx', 'boto3') if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)

    assert run.stdout.strip() == "[]"
