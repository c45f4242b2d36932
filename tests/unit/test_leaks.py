"""The search that the fault runs and the demo are searched with finds what it is for."""

import pytest
from sdktest.rows import each_row

from devkit.fake_clerk.signing import sign_webhook
from devkit.local.keys import new_keys
from entrypoints.config.service_keys import new_service_key
from entrypoints.config.settings.catalogue import all_variables
from support.leaks import PEOPLE, SECRETS, leaks, secrets_of
from support.web import SECRET, public_key, token

KEY, CONFIGURED = new_service_key("billing")
TOLD_TO_ANYBODY = {"CLERK_JWT_KEY", "KAFKA_SASL_USERNAME", "KAFKA_OAUTH_CLIENT_ID"}
VARIABLES = {
    "DATABASE_URL": "postgresql://auth:in-the-address@db.example:5432/auth",
    "DATABASE_REPLICA_URL": "postgresql://auth:at-the-standby@db2.example:5432/auth",
    "CLERK_WEBHOOK_SECRET": f"{SECRET},whsec_b3RoZXIhb3RoZXIh",
    "CLERK_SECRET_KEY": "sk_test_0123456789",
    "AUTH_SERVICE_KEYS": f"{CONFIGURED},reports:{'0f' * 32}",
    "KAFKA_SASL_PASSWORD": "told-to-nobody",
    "KAFKA_SSL_KEY_PASSWORD": "of-the-client-key",
    "KAFKA_OAUTH_CLIENT_SECRET": "of-the-oauth-client",
    "HTTPS_PROXY": "http://auth:of-the-tls-proxy@proxy.example:3128",
    "HTTP_PROXY": "http://auth:of-the-plain-proxy@proxy.example:3128",
    "ALL_PROXY": "http://auth:of-the-proxy-for-all@proxy.example:3128",
    "OTEL_EXPORTER_OTLP_HEADERS": "api-key=of-the-collector",
}


EXAMPLES = {
    "an email address": "ada.l+x@mail.example.org",
    "a session token": token(),
    "a webhook secret": SECRET,
    "a webhook signature": sign_webhook(SECRET, "msg_1", 1, b"{}")["svix-signature"],
    "a Clerk secret key": "sk_live_0123456789",
    "a service key": KEY,
    "a private key": new_keys().private_key,
    "a password in an address": "postgresql://auth:hunter2@127.0.0.1:5432/auth",
}


@each_row("kind", EXAMPLES)
def test_each_kind_is_found_in_the_middle_of_a_line_whatever_its_value(kind):
    found = leaks(f'{{"event":"request","note":"{EXAMPLES[kind]}","user_id":"user_ada"}}', {})

    assert kind in [each.partition(":")[0] for each in found]


@pytest.mark.parametrize("name", PEOPLE)
def test_a_name_is_found_and_a_word_that_begins_with_it_is_not(name):
    assert leaks(f"created: {name}, and so on", {}) == [name]
    assert leaks(f"{name}pter gracefully", {}) == []


def test_each_secret_that_a_process_is_configured_with_is_found_without_its_prefix():
    secrets = {secret: name for name, secret in secrets_of(VARIABLES)}

    assert {name for secret in secrets for name in leaks(f"x {secret} y", secrets)} >= VARIABLES.keys()
    assert len(secrets) == 14
    assert set(SECRETS) | TOLD_TO_ANYBODY == {each.name for each in all_variables() if each.in_file}


def test_a_secret_that_any_log_may_hold_is_no_secret_to_search_for():
    with pytest.raises(AssertionError, match="KAFKA_SASL_PASSWORD"):
        list(secrets_of({"KAFKA_SASL_PASSWORD": "wrong"}))


def test_what_may_be_told_is_not_taken_for_a_secret():
    said = [
        "postgresql://auth:*******@db.example:5432/auth",
        "http://127.0.0.1:3002/v1/users/user_ada/ban",
        "psycopg://auth@127.0.0.1:5432/auth, sk_test_*******, whsec_*******",
        public_key(),
    ]

    assert [leaks(text, {}) for text in said] == [[], [], [], []]
