"""`auth-service config`, and that no command shows a secret when the configuration is wrong."""

import json
import os

import pytest
from sdktest.rows import each_row

from entrypoints.cli.main import COMMANDS, main
from entrypoints.config import settings as settings_of_commands
from entrypoints.config.misspelled import misspelled
from entrypoints.config.settings.catalogue import COMMANDS as READ_BY
from entrypoints.config.settings.catalogue import GROUPS, all_variables, known_names, variables_of
from support.web import PUBLISHABLE_KEY, SECRET

SERVE = {
    "DATABASE_URL": "postgresql://auth:hunter2@db.example:5432/auth",
    "CLERK_WEBHOOK_SECRET": SECRET,
    "CLERK_PUBLISHABLE_KEY": PUBLISHABLE_KEY,
}


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Run a command in an empty folder and with nothing but these variables."""

    def run_(*arguments: str, **variables: str):
        for name in [*os.environ]:
            if name not in ("PATH", "HOME", "TMPDIR", "PYTEST_CURRENT_TEST"):
                monkeypatch.delenv(name)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        monkeypatch.chdir(tmp_path)
        with pytest.raises(SystemExit) as stop:
            main(arguments)
        shown = capsys.readouterr()
        return stop.value.code or 0, shown.out, shown.err

    return run_


def test_what_is_configured_is_shown_with_its_place_and_the_commands_that_read_it(run, tmp_path):
    (tmp_path / ".env").write_text("\nPORT=4000\nCLERK_AUTHORIZED_PARTIES=https://a.example,https://b.example\n")
    (tmp_path / "key").write_text("sk_test_hunter2\n")
    replicas = "postgresql://reader:hunter2@db2,db3/auth"
    code, out, _ = run("config", "serve", "--json", CLERK_SECRET_KEY_FILE="key", DATABASE_REPLICA_URL=replicas, **SERVE)
    variables = {variable["name"]: variable for variable in json.loads(out)["variables"]}

    assert code == 0
    assert variables["DATABASE_URL"]["value"] == "postgresql://auth:*******@db.example:5432/auth"
    assert (variables["DATABASE_URL"]["source"], variables["DATABASE_URL"]["required"]) == ("environment", True)
    assert variables["DATABASE_REPLICA_URL"]["value"] == "postgresql://reader:*******@db2,db3/auth"
    assert variables["DATABASE_REPLICA_URL"]["commands"] == ["serve"]
    assert (variables["PORT"]["value"], variables["PORT"]["source"]) == ("4000", ".env line 2")
    assert variables["CLERK_AUTHORIZED_PARTIES"]["value"] == "https://a.example, https://b.example"
    assert variables["CLERK_SECRET_KEY"]["value"] == "sk_test_*******"
    assert variables["CLERK_SECRET_KEY"]["source"] == "CLERK_SECRET_KEY_FILE (environment)"
    assert (variables["LOG_LEVEL"]["value"], variables["LOG_LEVEL"]["source"]) == ("info", "default")
    assert (variables["CLERK_JWT_KEY"]["value"], variables["CLERK_JWT_KEY"]["source"]) == ("", "unset")
    assert "serve" in variables["PORT"]["commands"]
    assert "relay" not in variables["PORT"]["commands"]


def test_it_is_a_table_for_people(run):
    code, out, _ = run("config", "serve", **SERVE)

    assert code == 0
    assert "postgresql://auth:*******" in out
    assert "hunter2" not in out
    assert SECRET not in out


def test_everything_that_is_wrong_is_told_and_is_status_78(run):
    code, out, _ = run("config", "--json", PORT="hunter2", CLERK_SECRET_KEY="hunter2", CLERK_JWT_KEY_FILE="/nowhere")
    found = json.loads(out)

    assert code == 78
    assert {problem["variable"] for problem in found["problems"]} == {
        "DATABASE_URL",
        "CLERK_WEBHOOK_SECRET",
        "CLERK_SECRET_KEY",
        "CLERK_JWT_KEY_FILE",
        "PORT",
        "KAFKA_BOOTSTRAP_SERVERS",
    }
    assert "hunter2" not in out


def test_a_command_by_name_asks_for_no_more_than_it_needs(run):
    assert run("config", "serve", **SERVE)[0] == 0
    assert run("config", "migrate", DATABASE_URL=SERVE["DATABASE_URL"])[0] == 0
    code, out, err = run("config", "relay", **SERVE)

    assert code == 78
    assert "KAFKA_BOOTSTRAP_SERVERS: missing" in err
    assert "CLERK_WEBHOOK_SECRET" not in out + err


def test_a_file_that_cannot_be_read_is_told_too(run, tmp_path):
    (tmp_path / ".env").write_bytes(b"\xff")
    code, _, err = run("config", **SERVE)

    assert code == 78
    assert ".env: cannot be read" in err


def test_a_command_that_reads_nothing_is_not_known(run):
    code, _, err = run("config", "openapi")

    assert code == 2
    assert "There is no command openapi that reads variables" in err


@each_row(
    ("name", "meant"),
    [
        ("CLERK_WEBHOOK_SECRETS", "CLERK_WEBHOOK_SECRET"),
        ("CLERK_WEBHOOK_SIGNING_SECRET", "CLERK_WEBHOOK_SECRET"),
        ("KAFKA_BOOTSTRAP_SERVER", "KAFKA_BOOTSTRAP_SERVERS"),
        ("KAFKA_SASL_USER", "KAFKA_SASL_USERNAME"),
        ("KAFKA_SSL_CA", "KAFKA_SSL_CA_FILE"),
        ("DATABASE_URI", "DATABASE_URL"),
        ("DATABASE_URL_FILES", "DATABASE_URL_FILE"),
        ("CLERK_JWKS_URI", "CLERK_JWKS_URL"),
        ("clerk_secret_key", "CLERK_SECRET_KEY"),
        ("LOGLEVEL", "LOG_LEVEL"),
    ],
)
def test_a_name_that_is_nearly_ours_is_suspected(name, meant):
    assert [(found.name, found.meant) for found in misspelled([name, "PATH"], known_names())] == [(name, meant)]


def test_what_other_programs_read_is_not_suspected():
    others = [
        *("PATH", "HOME", "HOSTNAME", "LANG", "LC_ALL", "TERM", "USER", "SHELL", "PWD", "TZ", "VIRTUAL_ENV", "_"),
        *(
            "KAFKA_SERVICE_HOST",
            "KAFKA_PORT_9092_TCP",
            "KAFKA_HEAP_OPTS",
            "KUBERNETES_SERVICE_PORT",
            "POSTGRES_PASSWORD",
        ),
        *("PGHOST", "PGPASSWORD", "NEXT_PUBLIC_APP", "PYTHONUNBUFFERED", "SSL_CERT_FILE", "HTTP_PROXY", "NO_PROXY"),
        *("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_RESOURCE_ATTRIBUTES", "UVLOOP", "GIT_COMMIT", "PORTS_OPEN"),
    ]

    assert [*misspelled([*others, *known_names()], known_names())] == []


def test_a_suspect_is_shown_beside_the_rest(run):
    code, _, err = run("config", "serve", KAFKA_BOOTSTRAP_SERVER="x:1", **SERVE)

    assert code == 0
    assert "KAFKA_BOOTSTRAP_SERVER is set, and nothing reads it: is KAFKA_BOOTSTRAP_SERVERS meant?" in err


def test_the_catalogue_names_every_group_and_every_command_that_reads_any():
    in_groups = {variable.name for group in GROUPS for variable in variables_of(group)}
    read = {name for name, kind in vars(settings_of_commands).items() if isinstance(kind, type) and kind not in GROUPS}

    assert in_groups == {variable.name for variable in all_variables()}
    assert set(READ_BY) <= set(COMMANDS) | {"users"}
    assert {kind.__name__ for kind in READ_BY.values()} <= read
    assert all(variable.commands for variable in all_variables())


def test_a_value_that_is_shown_is_the_value_that_is_used(run):
    _, out, _ = run("config", "serve", "--json", **SERVE)
    by_name = {variable["name"]: variable["value"] for variable in json.loads(out)["variables"]}

    assert by_name["PORT"] == "3002"
    assert by_name["CLERK_API_URL"] == "https://api.clerk.com"


BROKEN = [
    *([name] for name in ("serve", "relay", "migrate", "doctor", "trigger", "token", "dev", "config")),
    *(["outbox", "status"], ["events", "tail"], ["topic", "create"], ["topic", "check"]),
]


@each_row("command", BROKEN, ids=" ".join)
@each_row("variable", sorted({variable.name for variable in all_variables() if variable.in_file}))
def test_no_command_repeats_a_secret_that_is_wrong(run, command, variable):
    arguments = ["user.created", "--user", "user_a"] if command == ["trigger"] else []
    arguments = ["--user", "user_a"] if command == ["token"] else arguments
    wrong = "hunter2\x7fhunter2"
    _, out, err = run(*command, *arguments, **{**SERVE, "PORT": "x", "KAFKA_BOOTSTRAP_SERVERS": "x", variable: wrong})

    assert "hunter2" not in out + err
