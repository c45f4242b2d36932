"""Ports that are given out stay with those who asked, also while nothing listens there (on Linux, see ports.py)."""

import secrets
import socket
import subprocess
import sys

import pytest

from devkit.servers.errors import EmbeddedStackError
from devkit.servers.ports import LOOPBACK, free_port, require_free


def listening(port: int) -> socket.socket:
    return socket.create_server((LOOPBACK, port))


def test_no_port_is_given_out_twice(monkeypatch):
    given, choice = free_port(), secrets.choice
    draws = iter([given] * 3)
    monkeypatch.setattr(secrets, "choice", lambda ports: next(draws, None) or choice(ports))

    assert free_port() != given
    assert next(draws, None) is None


def test_neither_another_process_nor_an_outgoing_connection_gets_a_port_whose_server_is_down():
    port = free_port()
    listening(port).close()
    script = f"import socket; socket.socket().bind(('127.0.0.1', {port}))"

    taken = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)

    assert "Address already in use" in taken.stderr


def test_its_server_can_come_back_on_it_and_two_cannot_be_there():
    port = free_port()
    for _ in range(3):
        with listening(port) as server:
            with socket.create_connection((LOOPBACK, port)), server.accept()[0]:
                pass  # this side closes first: the port is left in TIME_WAIT
            with pytest.raises(EmbeddedStackError, match="the port is taken"):
                require_free(port, "another")
        require_free(port, "it")


def test_of_two_processes_that_want_a_port_at_once_one_gets_it_before_anything_listens_there():
    port = free_port()
    script = (
        "import sys; from devkit.servers.ports import require_free; "
        f"require_free({port}, 'first'); print('claimed', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as first:
        assert first.stdout.readline() == "claimed\n"
        with pytest.raises(EmbeddedStackError, match=f"second cannot listen on 127.0.0.1:{port}: the port is taken"):
            require_free(port, "second")
        with listening(port):
            pass  # its server can
        first.communicate("")

    require_free(port, "second")
    require_free(port, "second again")
