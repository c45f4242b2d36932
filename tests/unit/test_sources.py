"""Where a variable may stand: the environment, `.env`, and a file that either of them names."""

import os
from pathlib import Path

import pytest
from attrs import fields
from sdktest.rows import each_row

from devkit.local.environment import variables
from entrypoints.config.loading import load
from entrypoints.config.settings import ClerkApiSettings, KafkaSettings, WebhookSettings
from entrypoints.config.settings.catalogue import GROUPS, all_variables
from entrypoints.config.sources import ConfigurationError, found_variables, look_up
from support.web import NO_FILE, SECRET, public_key

KEY = "sk_test_hunter2"
TEXTS = {
    "DATABASE_URL": "postgresql://u:hunter2@h/db",
    "CLERK_WEBHOOK_SECRET": SECRET,
    "CLERK_JWT_KEY": public_key().strip(),
    "CLERK_SECRET_KEY": KEY,
    "AUTH_SERVICE_KEYS": f"billing:{'ab' * 32}",
    "KAFKA_SASL_USERNAME": "auth-service",
    "KAFKA_SASL_PASSWORD": " hunter2 ",
}


def secret_key(file_env: Path = NO_FILE, **environment: str) -> str | None:
    key = load(ClerkApiSettings, environment=environment, env_file=file_env).clerk_secret_key
    return key.get_secret_value() if key else None


def refused(**environment: str) -> tuple[str, str]:
    with pytest.raises(ConfigurationError) as caught:
        secret_key(NO_FILE, **environment)
    [problem] = caught.value.problems
    return problem.variable, str(caught.value)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "key"
    path.write_text(KEY + "\n")
    return path


def test_every_secret_may_stand_in_a_file():
    in_file = {variable.name for variable in all_variables() if variable.in_file}
    secret = {
        attribute.name.upper() for group in GROUPS for attribute in fields(group) if "Secret" in str(attribute.type)
    }

    assert in_file >= set(TEXTS)
    assert in_file >= secret
    assert len(secret) >= 4


@each_row("name", TEXTS)
@each_row("end", ["", "\n", "\r\n", "\n\n"])
def test_a_file_holds_what_the_variable_would(tmp_path, name, end):
    path = tmp_path / "secret"
    path.write_text(TEXTS[name] + end, newline="")
    found = look_up(name, found_variables({f"{name}_FILE": str(path)}, NO_FILE), in_file=True)

    assert found.text == TEXTS[name]
    assert found.origin == f"{name}_FILE (environment)"


def test_a_secret_of_a_file_reaches_its_setting(file):
    assert secret_key(CLERK_SECRET_KEY_FILE=str(file)) == KEY


def test_a_file_may_be_a_link_as_kubernetes_makes_them(file, tmp_path):
    link = tmp_path / "..data"
    link.symlink_to(file)

    assert secret_key(CLERK_SECRET_KEY_FILE=str(link)) == KEY


def test_a_variable_and_its_file_at_once_are_refused(file):
    variable, message = refused(CLERK_SECRET_KEY=KEY, CLERK_SECRET_KEY_FILE=str(file))

    assert variable == "CLERK_SECRET_KEY"
    assert "CLERK_SECRET_KEY (environment) and CLERK_SECRET_KEY_FILE (environment); keep one" in message
    assert "hunter2" not in message


@pytest.mark.parametrize(
    ("above", "below", "expected"),
    [
        ({"CLERK_SECRET_KEY": "sk_test_a"}, "CLERK_SECRET_KEY_FILE={file}", "sk_test_a"),
        ({"CLERK_SECRET_KEY_FILE": "{file}"}, "CLERK_SECRET_KEY=sk_test_b", KEY),
        ({"CLERK_SECRET_KEY": "", "CLERK_SECRET_KEY_FILE": ""}, "CLERK_SECRET_KEY_FILE={file}", KEY),
        ({}, "CLERK_SECRET_KEY_FILE={file}", KEY),
    ],
)
def test_either_form_in_the_environment_wins_over_either_in_the_file(tmp_path, file, above, below, expected):
    env_file = tmp_path / ".env"
    env_file.write_text(below.format(file=file) + "\n")
    environment = {name: value.format(file=file) for name, value in above.items()}

    assert secret_key(env_file, **environment) == expected
    # And again through what `dev` hands to the processes that it starts.
    assert secret_key(NO_FILE, **variables(environment, env_file)) == expected


def test_files_that_hold_no_secret_are_refused_by_name_and_never_quoted(tmp_path):
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "binary").write_bytes(b"\xffhunter2")
    (tmp_path / "large").write_text("hunter2" * 65536)
    (tmp_path / "two-lines").write_text("sk_test_hunter2\nsk_test_hunter2\n")
    os.mkfifo(tmp_path / "pipe")
    said = {}
    for name in ("missing", "empty", "binary", "large", ".", "pipe", "two-lines", "x" * 300):
        variable, message = refused(CLERK_SECRET_KEY_FILE=str(tmp_path / name))
        said[name] = message
        assert variable == ("CLERK_SECRET_KEY" if name == "two-lines" else "CLERK_SECRET_KEY_FILE")
        assert "hunter2" not in message
        assert str(tmp_path) not in message

    assert "no such file" in said["missing"]
    assert "the file is empty" in said["empty"]
    assert "not UTF-8" in said["binary"]
    assert "larger than 64 KiB" in said["large"]
    assert "not a regular file" in said["."]
    assert "not a regular file" in said["pipe"]
    assert "cannot be read" in said["x" * 300]


def test_a_secret_where_a_path_belongs_is_not_repeated():
    variable, message = refused(CLERK_SECRET_KEY_FILE=KEY)

    assert variable == "CLERK_SECRET_KEY_FILE"
    assert KEY not in message
    assert "CLERK_SECRET_KEY_FILE=/run/secrets/clerk_secret_key" in message


def test_what_is_no_secret_is_not_read_from_a_file(tmp_path):
    (tmp_path / "url").write_text("https://other.example")
    settings = load(ClerkApiSettings, environment={"CLERK_API_URL_FILE": str(tmp_path / "url")}, env_file=NO_FILE)

    assert settings.clerk_api_url == "https://api.clerk.com"


def test_several_secrets_in_one_file_are_comma_separated(tmp_path):
    other = "whsec_" + "b3RoZXIh" * 4
    (tmp_path / "both").write_text(f"{SECRET},\n{other}\n")
    settings = load(
        WebhookSettings, environment={"CLERK_WEBHOOK_SECRET_FILE": str(tmp_path / "both")}, env_file=NO_FILE
    )

    assert [key.written for key in settings.clerk_webhook_secret.get_secret_value()] == [SECRET, other]


def test_of_several_entries_the_wrong_ones_are_numbered():
    with pytest.raises(ConfigurationError) as caught:
        load(
            WebhookSettings,
            environment={"CLERK_WEBHOOK_SECRET": f"{SECRET},whsec_x,{SECRET},sk_test_"},
            env_file=NO_FILE,
        )

    assert "entry 2: " in str(caught.value)
    assert "entry 4: " in str(caught.value)
    assert "entry 1" not in str(caught.value)


def test_each_variable_is_found_with_the_line_it_stands_in(tmp_path):
    env_file = tmp_path / ".env"
    env_file.write_text("# ours\n\nPORT=4000\n\n\nexport CLERK_JWT_KEY='a\nb'\nHOST=::1\n")
    found = found_variables({"LOG_LEVEL": "debug"}, env_file)

    assert {name: entry.origin.removeprefix(str(tmp_path)) for name, entry in found.items()} == {
        "PORT": "/.env line 3",
        "CLERK_JWT_KEY": "/.env line 6",
        "HOST": "/.env line 8",
        "LOG_LEVEL": "environment",
    }


def test_lines_that_are_no_variables_are_told_and_not_passed_over(tmp_path):
    env_file = tmp_path / ".env"
    env_file.write_text("PORT=1\nCLERK_SECRET_KEY sk_test_hunter2\n\n=hunter2\nUNSET\n")
    with pytest.raises(ConfigurationError) as caught:
        load(ClerkApiSettings, environment={}, env_file=env_file)

    assert str(caught.value).endswith(".env: not NAME=value in line 2, 4")


def test_a_file_of_certificates_is_opened_at_the_start(tmp_path):
    (tmp_path / "ca.pem").write_text("hunter2")
    for path in ("missing.pem", "ca.pem"):
        environment = {"KAFKA_BOOTSTRAP_SERVERS": "h:1", "KAFKA_SSL_CA_FILE": str(tmp_path / path)}
        with pytest.raises(ConfigurationError, match="KAFKA_SSL_CA_FILE: ") as caught:
            load(KafkaSettings, environment=environment, env_file=NO_FILE)

        assert "hunter2" not in str(caught.value)


def test_a_group_alone_is_loaded_like_a_command():
    settings = load(KafkaSettings, environment={"KAFKA_BOOTSTRAP_SERVERS": "h:1"}, env_file=NO_FILE)

    assert settings.addresses == ["h:1"]
    with pytest.raises(ConfigurationError) as caught:
        load(
            KafkaSettings,
            environment={"KAFKA_BOOTSTRAP_SERVERS": "h:1", "KAFKA_SECURITY_PROTOCOL": "SASL_SSL"},
            env_file=NO_FILE,
        )
    assert len(caught.value.problems) == 3
    assert len(fields(KafkaSettings)) > 3


def test_a_folder_in_the_place_of_the_environment_file_is_refused(tmp_path):
    """Docker creates one if the file to mount does not exist."""
    with pytest.raises(ConfigurationError, match="a folder, not a file"):
        found_variables({}, tmp_path)


def test_a_virtual_environment_in_the_place_of_the_environment_file_is_passed_over(tmp_path):
    (tmp_path / "pyvenv.cfg").touch()

    assert found_variables({}, tmp_path) == {}


def test_an_environment_file_that_cannot_be_looked_for_is_refused(tmp_path):
    """A container with an arbitrary user begins in a folder of another."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0)
    try:
        os.seteuid(65534) if os.geteuid() == 0 else None
        with pytest.raises(ConfigurationError, match=r"cannot be read \(Permission denied\)"):
            found_variables({}, closed / ".env")
    finally:
        os.seteuid(0) if os.getuid() == 0 else None
        closed.chmod(0o700)
