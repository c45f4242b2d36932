import socket

import pytest

from devkit.servers.ports import free_port
from entrypoints.cli.exit_codes import EX_CONFIG
from entrypoints.cli.serve import _free_address
from entrypoints.config.settings import HttpSettings

BOTH = [
    (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", 0, 0, 0)),
    (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0)),
]


def test_a_name_with_both_addresses_is_ipv4_which_every_client_tries(monkeypatch):
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: BOTH)

    assert _free_address(HttpSettings(host="localhost", port=free_port())) == "127.0.0.1"


def test_a_name_that_nobody_knows_is_a_wrong_configuration(monkeypatch, capsys):
    def unknown(*_, **__):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(SystemExit) as stop:
        _free_address(HttpSettings(host="nowhere.example", port=3002))

    assert stop.value.code == EX_CONFIG
    assert "HOST nowhere.example, PORT 3002: Name or service not known" in capsys.readouterr().err
