"""Amazon MSK with IAM: the token is AWS's own request, signed. No cluster of Amazon's is asked here."""

import base64
import time
from urllib.parse import parse_qs, urlsplit

import pytest

from anomalyze_auth.kafka import KafkaConfigurationError, KafkaConnection
from anomalyze_auth.kafka.msk import MskIam
from anomalyze_auth.kafka.tokens import TokenUnavailable

VARIABLES = {
    "KAFKA_BOOTSTRAP_SERVERS": "b-1.my.abc123.c2.kafka.eu-west-1.amazonaws.com:9098",
    "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
    "KAFKA_SASL_MECHANISM": "AWS_MSK_IAM",
}


@pytest.fixture
def no_credentials(monkeypatch, tmp_path):
    """None of this machine's, and no question to a network."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


async def test_the_token_is_a_signed_request_to_connect(no_credentials, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI")
    options = KafkaConnection.from_environment(VARIABLES).client_options()
    token = await options["sasl_oauth_token_provider"].token()
    url = urlsplit(base64.urlsafe_b64decode(token + "==").decode())
    query = parse_qs(url.query)

    assert options["sasl_mechanism"] == "OAUTHBEARER"
    assert url.hostname == "kafka.eu-west-1.amazonaws.com"
    assert query["Action"] == ["kafka-cluster:Connect"]
    assert query["X-Amz-Credential"][0].startswith("AKIDEXAMPLE/")
    assert query["X-Amz-Credential"][0].endswith("/eu-west-1/kafka-cluster/aws4_request")
    assert len(query["X-Amz-Signature"][0]) == 64
    assert "wJalrXUtnFEMI" not in token
    assert 800 < (await MskIam("eu-west-1")()).lifetime_s <= 901 + (time.time() % 1)


async def test_without_aws_credentials_there_is_no_token_and_the_cause_is_told(no_credentials):
    options = KafkaConnection.from_environment(VARIABLES).client_options()

    with pytest.raises(TokenUnavailable, match="AWS credentials cannot be used or found"):
        await options["sasl_oauth_token_provider"].token()


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"KAFKA_BOOTSTRAP_SERVERS": "kafka.example.com:9098"}, "KAFKA_BOOTSTRAP_SERVERS"),
        ({"KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT"}, "KAFKA_SECURITY_PROTOCOL"),
        ({"KAFKA_SASL_USERNAME": "me"}, "KAFKA_SASL_USERNAME"),
        ({"KAFKA_OAUTH_CLIENT_ID": "me"}, "KAFKA_OAUTH_CLIENT_ID"),
    ],
)
def test_what_does_not_go_with_it_is_refused(changes, name):
    with pytest.raises(KafkaConfigurationError) as caught:
        KafkaConnection.from_environment({**VARIABLES, **changes})
    assert [problem[0] for problem in caught.value.problems] == [name]


def test_the_region_may_come_from_aws_own_variables():
    variables = {**VARIABLES, "KAFKA_BOOTSTRAP_SERVERS": "kafka.example.com:9098", "AWS_REGION": "us-east-2"}

    assert KafkaConnection.from_environment(variables).region == "us-east-2"


def test_without_the_package_the_start_says_which_one_is_missing(monkeypatch):
    monkeypatch.setattr("anomalyze_auth.kafka.contradictions.find_spec", lambda _: None)

    with pytest.raises(KafkaConfigurationError, match="aws-msk-iam-sasl-signer-python"):
        KafkaConnection.from_environment(VARIABLES)
