import os
import stat

import pytest

from devkit.local.keys import new_keys
from devkit.local.second_terminal import write_for_second_terminal
from devkit.servers.data_dir import locked
from entrypoints.config.dev_environment import (
    base_url,
    export_from_dev,
    found_beside_dev,
    load_beside_dev,
    settings_of_last_dev,
)
from entrypoints.config.settings import EventsSettings, HttpSettings


def test_a_second_terminal_reads_what_was_written_and_nobody_else_may(tmp_path):
    values = {"DATABASE_URL": "postgresql://u:p$w@127.0.0.1:1/db", **new_keys().environment}

    file = write_for_second_terminal(tmp_path, values)

    read = settings_of_last_dev(tmp_path)
    assert {name: value.replace("\n", "\\n") for name, value in read.items()} == values
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_the_environment_and_dot_env_win_over_a_running_dev(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("KAFKA_BOOTSTRAP_SERVERS", raising=False)
    write_for_second_terminal(tmp_path, {"KAFKA_BOOTSTRAP_SERVERS": "of-dev:1"})

    def servers():
        found = found_beside_dev(tmp_path)["KAFKA_BOOTSTRAP_SERVERS"]
        assert load_beside_dev(EventsSettings, tmp_path).kafka.addresses == [found.text]
        return found.text, found.origin

    with locked(tmp_path, "auth-service dev"):
        assert servers() == ("of-dev:1", f"auth-service dev ({tmp_path / 'dev.env'})")
        (tmp_path / ".env").write_text("KAFKA_BOOTSTRAP_SERVERS=of-dot-env:1")
        assert servers() == ("of-dot-env:1", ".env line 1")
        monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "of-environment:1")
        assert servers() == ("of-environment:1", "environment")
        monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "")
        assert servers() == ("of-dot-env:1", ".env line 1")


def test_a_dev_that_has_ended_counts_no_more(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("KAFKA_BOOTSTRAP_SERVERS", raising=False)
    write_for_second_terminal(tmp_path, {"KAFKA_BOOTSTRAP_SERVERS": "of-dev:1"})
    with locked(tmp_path, "auth-service dev"):
        pass

    assert "KAFKA_BOOTSTRAP_SERVERS" not in found_beside_dev(tmp_path)
    with pytest.raises(SystemExit) as ended:
        load_beside_dev(EventsSettings, tmp_path)
    assert ended.value.code == 78
    assert (
        f"Or start `auth-service dev`, whose settings are then used: none runs on {tmp_path}" in capsys.readouterr().err
    )


def test_processes_that_read_the_environment_again_find_what_dev_shares(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "environ", {"PORT": "4000"})
    write_for_second_terminal(tmp_path, {"KAFKA_BOOTSTRAP_SERVERS": "of-dev:1", "PORT": "3002"})

    assert export_from_dev(tmp_path) == []
    with locked(tmp_path, "auth-service dev"):
        assert export_from_dev(tmp_path) == ["KAFKA_BOOTSTRAP_SERVERS"]
    assert os.environ == {"PORT": "4000", "KAFKA_BOOTSTRAP_SERVERS": "of-dev:1"}


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
    assert base_url(HttpSettings(host=host, port=80)) == url
