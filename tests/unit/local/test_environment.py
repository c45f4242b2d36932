import stat

import pytest

from entrypoints.local.environment import (
    base_url,
    load_beside_dev,
    settings_of_last_dev,
    write_for_second_terminal,
)
from entrypoints.local.keys import new_keys
from entrypoints.settings import EventsSettings, HttpSettings


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
        return load_beside_dev(EventsSettings, tmp_path).kafka.addresses

    assert servers() == ["of-dev:1"]
    (tmp_path / ".env").write_text("KAFKA_BOOTSTRAP_SERVERS=of-dot-env:1")
    assert servers() == ["of-dot-env:1"]
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "of-environment:1")
    assert servers() == ["of-environment:1"]
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "")
    assert servers() == ["of-dot-env:1"]


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
