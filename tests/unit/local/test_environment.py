import os
import stat

import pytest

from devkit.local.environment import running_dev, settings_of_last_dev, write_environment
from devkit.local.keys import new_keys
from devkit.servers.data_dir import locked
from entrypoints.cli.main import main
from entrypoints.config.loading import load
from entrypoints.config.settings import EventsSettings, HttpSettings
from entrypoints.config.sources import ENV_FILE, found_variables


@pytest.fixture
def dev(tmp_path, monkeypatch):
    """The data folder of a `dev` in an empty folder to run in."""
    monkeypatch.chdir(tmp_path)
    for name in ("KAFKA_BOOTSTRAP_SERVERS", ENV_FILE):
        monkeypatch.delenv(name, raising=False)
    data_dir = tmp_path / "var" / "dev"
    data_dir.mkdir(parents=True)
    write_environment(data_dir, {"KAFKA_BOOTSTRAP_SERVERS": "of-dev:1"})
    return data_dir


def test_a_second_terminal_reads_what_was_written_and_nobody_else_may(tmp_path):
    values = {"DATABASE_URL": "postgresql://u:p$w@127.0.0.1:1/db", **new_keys().environment}

    file = write_environment(tmp_path, values)

    read = settings_of_last_dev(tmp_path)
    assert {name: value.replace("\n", "\\n") for name, value in read.items()} == values
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_the_environment_and_dot_env_win_over_a_running_dev(dev, tmp_path, monkeypatch):
    def servers():
        found = found_variables()["KAFKA_BOOTSTRAP_SERVERS"]
        assert load(EventsSettings).kafka.addresses == [found.text]
        return found.text, found.origin, found.development

    with locked(dev, "auth-service dev"):
        assert servers() == ("of-dev:1", "auth-service dev (var/dev/dev.env)", True)
        (tmp_path / ".env").write_text("KAFKA_BOOTSTRAP_SERVERS=of-dot-env:1")
        assert servers() == ("of-dot-env:1", ".env line 1", False)
        monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "of-environment:1")
        assert servers() == ("of-environment:1", "environment", False)
        monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "")
        assert servers() == ("of-dot-env:1", ".env line 1", False)


def test_a_dev_that_has_ended_is_ignored_and_its_start_is_proposed(dev, capsys):
    with locked(dev, "auth-service dev"):
        pass

    assert running_dev() is None
    assert "KAFKA_BOOTSTRAP_SERVERS" not in found_variables()
    with pytest.raises(SystemExit) as ended:
        main(["events", "tail"])
    assert ended.value.code == 78
    assert "Or start `auth-service dev`" in capsys.readouterr().err


def test_a_named_environment_file_takes_the_place_of_dot_env_and_of_a_running_dev(dev, tmp_path, monkeypatch):
    (tmp_path / ".env").write_text("KAFKA_BOOTSTRAP_SERVERS=of-dot-env:1\nPORT=4000")
    named = tmp_path / "named.env"
    named.write_text("KAFKA_USER_EVENTS_TOPIC=of-named")
    monkeypatch.setenv(ENV_FILE, str(named))

    with locked(dev, "auth-service dev"):
        found = found_variables()

    assert found["KAFKA_USER_EVENTS_TOPIC"].origin == f"{named} line 1"
    assert not {"KAFKA_BOOTSTRAP_SERVERS", "PORT"} & found.keys() - os.environ.keys()


@pytest.mark.parametrize("arguments", [["--env-file", "{}", "config", "events"], ["config", "events", "--env-file={}"]])
def test_the_option_for_it_stands_before_or_behind_the_command(dev, tmp_path, monkeypatch, capsys, arguments):
    monkeypatch.setenv(ENV_FILE, "restored by the fixture")
    named = tmp_path / "named.env"
    named.write_text("KAFKA_BOOTSTRAP_SERVERS=of-named:1")

    with pytest.raises(SystemExit) as ended:
        main([argument.format(named) for argument in arguments])

    assert ended.value.code == 0
    shown = capsys.readouterr()
    assert f"KAFKA_BOOTSTRAP_SERVERS\tof-named:1\t{named} line 1" in shown.out
    assert shown.err == ""


def test_an_environment_file_that_is_missing_is_wrong_usage(dev, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--env-file", "missing.env", "config"])

    assert ended.value.code == 2
    assert "missing.env" in capsys.readouterr().err


def test_an_environment_file_that_a_variable_names_and_that_is_missing_stops_a_command(dev, monkeypatch, capsys):
    monkeypatch.setenv(ENV_FILE, "missing.env")

    with pytest.raises(SystemExit) as ended:
        main(["events", "tail"])

    assert ended.value.code == 78
    assert "AUTH_SERVICE_ENV_FILE: no such file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:80"),
        ("0.0.0.0", "http://127.0.0.1:80"),
        ("::", "http://[::1]:80"),
        ("localhost", "http://localhost:80"),
    ],
)
def test_a_server_that_listens_everywhere_is_dialled_on_loopback(host, url):
    assert HttpSettings(host=host, port=80).base_url == url
