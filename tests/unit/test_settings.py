"""Variables: which are needed, how each is read, and what is said of wrong ones."""

import base64
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sdktest.rows import each_row

from anomalyze_auth.kafka.values import SaslMechanism, SecurityProtocol
from entrypoints.config.loading import load
from entrypoints.config.settings import (
    LogFormat,
    LogLevel,
    MigrateSettings,
    RelaySettings,
    ServeSettings,
)
from entrypoints.config.settings.catalogue import all_variables
from entrypoints.config.sources import ConfigurationError
from support.web import ISSUER, NO_FILE, PUBLISHABLE_KEY, SECRET, public_key

ROOT = Path(__file__).parents[2]
DATABASE = {"DATABASE_URL": "postgresql://auth:hunter2@db.example:5432/auth?sslmode=require"}
SERVE = {**DATABASE, "CLERK_WEBHOOK_SECRET": SECRET, "CLERK_PUBLISHABLE_KEY": PUBLISHABLE_KEY}
RELAY = {**DATABASE, "KAFKA_BOOTSTRAP_SERVERS": "localhost:9092"}
VARIABLES = {variable.name for variable in all_variables()}


def serve(**changes):
    return load(ServeSettings, environment={**SERVE, **changes}, env_file=NO_FILE)


def relay(**changes):
    return load(RelaySettings, environment={**RELAY, **changes}, env_file=NO_FILE)


def refused(settings, environment):
    """The problems by variable, and the whole message."""
    with pytest.raises(ConfigurationError) as caught:
        load(settings, environment=environment, env_file=NO_FILE)
    return {problem.variable: problem.what for problem in caught.value.problems}, str(caught.value)


def test_a_command_needs_only_what_it_uses():
    assert load(MigrateSettings, environment=DATABASE, env_file=NO_FILE).database
    assert relay().kafka.addresses == ["localhost:9092"]
    assert serve().http.port == 3002


def test_everything_that_is_wrong_is_told_at_once():
    problems, message = refused(ServeSettings, {"PORT": "0", "LOG_LEVEL": "loud", "CLERK_API_URL": "clerk"})

    assert set(problems) == {
        "DATABASE_URL",
        "CLERK_WEBHOOK_SECRET",
        "CLERK_PUBLISHABLE_KEY",
        "CLERK_API_URL",
        "PORT",
        "LOG_LEVEL",
    }
    assert problems["DATABASE_URL"] == "missing"
    for variable in problems:
        assert f"for example {variable}=" in message


def test_serve_needs_some_way_to_verify_tokens():
    without = {name: value for name, value in SERVE.items() if name != "CLERK_PUBLISHABLE_KEY"}
    problems, message = refused(ServeSettings, without)

    assert list(problems) == ["CLERK_PUBLISHABLE_KEY"]
    assert "CLERK_JWT_KEY" in message
    for name, value in {
        "CLERK_JWT_KEY": public_key(),
        "CLERK_JWKS_URL": "https://clerk.example.com/jwks",
        "CLERK_ISSUER": ISSUER,
    }.items():
        assert load(ServeSettings, environment={**without, name: value}, env_file=NO_FILE)


def test_the_relay_needs_all_of_sasl_or_nothing():
    problems, _ = refused(RelaySettings, {**RELAY, "KAFKA_SECURITY_PROTOCOL": "SASL_SSL"})

    assert set(problems) == {"KAFKA_SASL_MECHANISM", "KAFKA_SASL_USERNAME", "KAFKA_SASL_PASSWORD"}


def test_kafka_over_sasl():
    kafka = relay(
        KAFKA_SECURITY_PROTOCOL="sasl_ssl",
        KAFKA_SASL_MECHANISM="scram-sha-512",
        KAFKA_SASL_USERNAME="me",
        KAFKA_SASL_PASSWORD="p,w",
        KAFKA_BOOTSTRAP_SERVERS="a:1, b:2,",
    ).kafka

    assert kafka.kafka_security_protocol is SecurityProtocol.SASL_SSL
    assert kafka.kafka_sasl_mechanism is SaslMechanism.SCRAM_SHA_512
    assert kafka.kafka_sasl_password.get_secret_value() == "p,w"
    assert kafka.addresses == ["a:1", "b:2"]


@pytest.mark.parametrize("level", ["debug", "DEBUG", "Debug"])
def test_the_log_level_is_taken_in_any_case(level):
    assert serve(LOG_LEVEL=level).log.log_level is LogLevel.DEBUG


def test_an_empty_variable_counts_as_unset():
    settings = serve(PORT="", LOG_FORMAT=" ", CLERK_SECRET_KEY="")

    assert (settings.http.port, settings.log.log_format, settings.clerk_api.clerk_secret_key) == (
        3002,
        LogFormat.AUTO,
        None,
    )


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:p@h:5432/db",
        "postgres://u@h/db",
        "postgresql://u:p%40x@[::1]:5432/db?sslmode=require",
        "postgresql:///db?host=/run/postgresql",
        "postgresql://h?dbname=db",
    ],
)
def test_the_database_url_is_taken_as_everyone_writes_it(url):
    assert serve(DATABASE_URL=url).database.database_url.get_secret_value().written == url


@each_row(
    ("variable", "value"),
    [
        ("DATABASE_URL", "mysql://u:hunter2@h/db"),
        ("DATABASE_URL", "postgresql+asyncpg://u:hunter2@h/db"),
        ("DATABASE_URL", "postgresql://u:hunter2@h:hunter2/db"),
        ("DATABASE_URL", "postgresql://u:hunter2@h"),
        ("DATABASE_URL", "postgresql://[hunter2/db"),
        ("DATABASE_URL", "hunter2"),
        ("DATABASE_REPLICA_URL", "mysql://u:hunter2@h/db"),
        ("DATABASE_REPLICA_URL", "postgresql://u:hunter2@h"),
        ("CLERK_WEBHOOK_SECRET", "hunter2"),
        ("CLERK_WEBHOOK_SECRET", "sk_test_hunter2"),
        ("CLERK_WEBHOOK_SECRET", "whsec_hunter2"),
        ("CLERK_WEBHOOK_SECRET", "whsec_hünter2"),
        ("CLERK_WEBHOOK_SECRET", f"{SECRET},whsec_hunter2"),
        ("CLERK_WEBHOOK_SECRET", ","),
        ("CLERK_SECRET_KEY", "hunter2"),
        ("CLERK_SECRET_KEY", PUBLISHABLE_KEY),
        ("CLERK_SECRET_KEY", "sk_test_hunter2\nx"),
        ("CLERK_PUBLISHABLE_KEY", "hunter2"),
        ("CLERK_PUBLISHABLE_KEY", "pk_test_hunter2"),
        ("CLERK_PUBLISHABLE_KEY", "pk_test_" + base64.b64encode(b"evil.example/hunter2$").decode()),
        ("CLERK_PUBLISHABLE_KEY", "pk_test_" + base64.b64encode(b"no-dollar.example").decode()),
        ("CLERK_JWT_KEY", "hunter2"),
        ("CLERK_JWT_KEY", "-----BEGIN RSA PRIVATE KEY-----\nhunter2\n-----END RSA PRIVATE KEY-----"),
        ("CLERK_ISSUER", "clerk.example.com/hunter2"),
        ("CLERK_JWKS_URL", "ftp://clerk.example.com/hunter2"),
        ("CLERK_JWKS_URL", "http://hunter2.example.com/jwks"),
        ("CLERK_JWKS_URL", "http://hunter2:8080/jwks"),
        ("CLERK_ISSUER", "http://hunter2.example.com"),
        ("CLERK_API_URL", "http://hunter2.example.com"),
        ("CLERK_API_URL", "http://localhost@hunter2.example.com"),
        ("CLERK_AUTHORIZED_PARTIES", "https://app.example.com/hunter2"),
        ("CLERK_AUTHORIZED_PARTIES", "app.example.com,hunter2"),
        ("CLERK_AUTHORIZED_PARTIES", "https://*.hunter2.com"),
        ("CLERK_AUTHORIZED_PARTIES", "https://app.example.com,null"),
        ("CLERK_AUTHORIZED_PARTIES", "file:///hunter2"),
        ("CLERK_AUTHORIZED_PARTIES", "chrome-extension://hunter2/page.html"),
        ("AUTH_SERVICE_KEYS", "ask_hunter2"),
        ("AUTH_SERVICE_KEYS", "hunter2:abc"),
        ("AUTH_SERVICE_KEYS", f"hunter2:{'0' * 64},hunter2:{'1' * 64}"),
        ("AUTH_SERVICE_KEYS", f"hunter2:hunter2:{'0' * 64}"),
        ("AUTH_SERVICE_PERMISSION", "hunter2"),
        ("AUTH_SERVICE_PERMISSION", "org:hunter2"),
        ("AUTH_SERVICE_ORGANIZATIONS", "hunter2"),
        ("AUTH_SERVICE_ORGANIZATIONS", "org_hunter2,*"),
        ("AUTH_SERVICE_ORGANIZATIONS", "org_*"),
        ("AUTH_SERVICE_ORGANIZATIONS", "**"),
        ("PORT", "hunter2"),
        ("PORT", "65536"),
        ("PORT", "-1"),
        ("PORT", "٣٠٠٢"),
        ("PORT", "1" * 5000),
        ("LOG_LEVEL", "hunter2"),
        ("LOG_FORMAT", "hunter2"),
    ],
)
def test_a_wrong_value_is_refused_by_name_and_never_repeated(variable, value):
    problems, message = refused(ServeSettings, {**SERVE, variable: value})

    assert list(problems) == [variable]
    assert "hunter2" not in message
    assert "hünter2" not in message


# Not `st.text`, which also draws strings of this code: `configure` is a word of a message, whatever the variable holds.
ANY_TEXT = st.lists(st.characters(), min_size=8).map("".join)


@given(st.sampled_from(sorted(VARIABLES)), ANY_TEXT)
def test_whatever_stands_in_a_variable_it_is_taken_or_refused_without_repeating_it(variable, text):
    for settings, good in ((ServeSettings, SERVE), (RelaySettings, RELAY)):
        try:
            load(settings, environment={**good, variable: text}, env_file=NO_FILE)
        except ConfigurationError as refusal:
            error = refusal
        else:
            continue

        assert all(problem.variable == variable for problem in error.problems)
        assert not text.strip() or text.strip() not in str(error)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("", ()), ("*", ("*",)), (" * ", ("*",)), ("org_a", ("org_a",)), ("org_a, org_b,", ("org_a", "org_b"))],
)
def test_organizations_are_named_or_any(text, expected):
    assert serve(AUTH_SERVICE_ORGANIZATIONS=text).management.auth_service_organizations == expected


def test_several_service_keys_may_be_given_while_rotating():
    keys = serve(AUTH_SERVICE_KEYS=f"billing-1:{'0' * 64}, billing-2:{'A' * 64},").management.auth_service_keys

    assert [(key.name, key.digest.hex()) for key in keys] == [("billing-1", "0" * 64), ("billing-2", "a" * 64)]


def test_users_are_managed_by_a_permission_of_our_own_and_no_key_unless_told_otherwise():
    management = serve().management

    assert (management.auth_service_permission, management.auth_service_keys) == ("org:users:manage", ())


def test_secrets_are_masked_in_every_text():
    settings = serve(CLERK_SECRET_KEY="sk_test_hunter2")

    for text in (repr(settings), str(settings), f"{settings.database.database_url}"):
        assert "hunter2" not in text
        assert SECRET not in text


def test_the_file_is_read_and_the_environment_wins(tmp_path):
    file = tmp_path / ".env"
    file.write_text("export PORT=4000 # ours\nLOG_LEVEL=debug\nCLERK_SECRET_KEY='sk_test_a$HOME'\nUNKNOWN=1\n")
    settings = load(ServeSettings, environment={**SERVE, "LOG_LEVEL": "error"}, env_file=file)

    assert settings.http.port == 4000
    assert settings.log.log_level is LogLevel.ERROR
    assert settings.clerk_api.clerk_secret_key.get_secret_value() == "sk_test_a$HOME"


def test_an_empty_variable_does_not_hide_the_file(tmp_path):
    file = tmp_path / ".env"
    file.write_text("PORT=4000\n")

    assert load(ServeSettings, environment={**SERVE, "PORT": ""}, env_file=file).http.port == 4000


def test_a_pem_on_one_line_of_the_file_is_taken(tmp_path):
    file = tmp_path / ".env"
    one_line = public_key().replace("\n", "\\n")
    file.write_text(f'CLERK_JWT_KEY="{one_line}"\n')
    settings = load(ServeSettings, environment=SERVE, env_file=file)

    assert settings.tokens.clerk_jwt_key.written == public_key().strip()


def test_a_file_that_cannot_be_read_is_told(tmp_path):
    file = tmp_path / ".env"
    file.write_bytes(b"PORT=\xff\xfe")
    with pytest.raises(ConfigurationError, match=r"\.env"):
        load(ServeSettings, environment=SERVE, env_file=file)


def test_the_example_file_is_current_and_names_every_variable():
    subprocess.run([sys.executable, "-m", "tools.generate", "--check"], cwd=ROOT, check=True)
    text = (ROOT / ".env.example").read_text()

    assert {line.lstrip("# ").partition("=")[0] for line in text.splitlines() if "=" in line} >= VARIABLES


def test_the_example_file_is_readable_by_its_reader_and_explains_each_variable():
    lines = (ROOT / ".env.example").read_text().splitlines()

    for number, line in enumerate(lines):
        if line.lstrip("# ").partition("=")[0] in VARIABLES:
            assert lines[number - 1].startswith("# ")
