"""Which servers a test run takes, on machines with and without a Docker daemon."""

import gc
import os
import socket
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import pytest

from support import servers


def nobody(path):
    """No socket at all."""


def a_daemon_that_is_gone(path):
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))


def one_that_hangs_up(path):
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()

    def hang_up():
        with listener:
            listener.settimeout(90)
            listener.accept()[0].close()

    thread = threading.Thread(target=hang_up)
    thread.start()
    return thread


def one_that_never_answers(path):
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()
    return listener


@pytest.mark.parametrize("daemon", [nobody, a_daemon_that_is_gone, one_that_hangs_up, one_that_never_answers])
def test_where_no_daemon_answers_the_embedded_servers_run_and_nothing_stays_open(tmp_path, monkeypatch, daemon):
    answering = daemon(tmp_path / "docker.sock")
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/docker.sock")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        # Only the last one has to be given up; a busy machine takes seconds to import what asks the others.
        assert not servers.docker_has_images(within_s=3 if daemon is one_that_never_answers else 60)
        gc.collect()
    if isinstance(answering, threading.Thread):
        answering.join()
    elif answering:
        answering.close()

    assert [str(warning.message) for warning in caught] == []


def test_a_whole_run_without_a_daemon_says_so_and_ends_with_status_0(tmp_path):
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "--numprocesses=0", "tests/unit/test_service_keys.py"],
        env={name: value for name, value in os.environ.items() if not name.startswith(("TEST_", "PYTEST_"))}
        | {"DOCKER_HOST": f"unix://{tmp_path}/docker.sock"},
        cwd=Path(__file__).parents[3],
        check=False,
        capture_output=True,
        text=True,
    )

    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "real servers: embedded" in ended.stdout
