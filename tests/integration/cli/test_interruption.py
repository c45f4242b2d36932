"""SIGINT and SIGTERM at every moment of a start, as a terminal and an orchestrator send them."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from devkit.servers.ports import free_port
from support import processes
from support.commands import ANEW
from support.processes import Process
from support.web import environment

MOMENTS = 8
"""Parts of a start, from the first line of our code to serving, and one after it."""

AT_MOST_S = 8
"""Far below the 20 s that a worker has for requests under way; far above what a busy machine makes of half a second."""

WAYS = [
    (signal.SIGINT, os.killpg),  # Ctrl-C reaches all processes of the terminal
    (signal.SIGTERM, os.kill),  # Kubernetes and Docker
    (signal.SIGTERM, os.killpg),  # systemd
    (signal.SIGINT, os.kill),
]


@pytest.fixture
def starts(tmp_path, database_url, kafka_address, topic):
    def serve(*arguments):
        return processes.serve(tmp_path, database_url, free_port(), *arguments, **ANEW)

    return {
        "serve": (serve, "Started worker-1"),
        "serve with two workers": (lambda: serve("--workers", "2"), "Started worker-2"),
        "relay": (lambda: processes.relay(tmp_path, database_url, kafka_address, topic, **ANEW), "lanes_held"),
    }


@pytest.mark.faults
@pytest.mark.parametrize("what", ["serve", "serve with two workers", "relay"])
def test_whenever_it_is_stopped_it_is_gone_soon_and_says_nothing_alarming(starts, what):
    start, started = starts[what]
    with start() as process:
        began = time.monotonic()
        until(lambda: started in process.text(), process)
        seconds = time.monotonic() - began
        stop(process, *WAYS[0])

    for number in range(1, MOMENTS + 1):
        with start() as process:
            time.sleep(seconds * number / MOMENTS)
            stop(process, *WAYS[number % len(WAYS)])


def test_workers_that_end_by_the_signal_before_the_main_process_has_seen_it_are_no_failure(starts):
    start, started = starts["serve with two workers"]
    with start() as process:
        until(lambda: started in process.text(), process)
        workers = psutil.Process(process.popen.pid).children()
        for worker in workers:
            worker.send_signal(signal.SIGTERM)
        psutil.wait_procs(workers, AT_MOST_S)
        stop(process, signal.SIGTERM, os.kill)


STOPS_ITSELF = """
import os, sys
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == os.environ["AT_THE_IMPORT_OF"]:
            os.kill(os.getpid(), int(os.environ["NUMBER"]))
sys.meta_path.insert(0, Finder())
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("module", ["entrypoints.cli.main", "typing", "cyclopts", "entrypoints.cli.serve"])
def test_it_is_stopped_without_a_traceback_while_it_is_being_imported(tmp_path, module, number):
    (tmp_path / "sitecustomize.py").write_text(STOPS_ITSELF)

    ended = subprocess.run(
        [Path(sys.executable).with_name("auth-service"), "serve"],
        env={**os.environ, "PYTHONPATH": str(tmp_path), "AT_THE_IMPORT_OF": module, "NUMBER": str(int(number))},
        capture_output=True,
        cwd=tmp_path,
        timeout=60,
        check=False,
    )

    assert (ended.returncode, ended.stdout, ended.stderr) == (128 + number, b"", b"")


@pytest.mark.parametrize("way", WAYS[:2])
@pytest.mark.parametrize("command", ["migrate", "relay", "serve"])
def test_servers_that_never_answer_keep_nobody(tmp_path, command, way):
    with socket.create_server(("127.0.0.1", 0), backlog=100) as silent:  # it accepts nobody
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        variables = environment(DATABASE_URL=f"postgresql://u:p@{address}/d", PORT=str(free_port()))
        with processes.running(tmp_path, command, **variables, KAFKA_BOOTSTRAP_SERVERS=address) as process:
            until(lambda: uses(process, silent) or "Started worker-1" in process.text(), process)
            stop(process, *way)


def uses(process: Process, server: socket.socket) -> bool:
    connections = psutil.Process(process.popen.pid).net_connections("tcp")
    return any(connection.raddr and connection.raddr.port == server.getsockname()[1] for connection in connections)


def until(holds, process: Process | None = None, within_s: float = 60) -> None:
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline
        assert process is None or process.alive, process.text()
        time.sleep(0.02)


def nobody_left(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    # Dead ones count until somebody collects them.
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError):
            if os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE:
                return False
    return True


def stop(process: Process, number: int, send) -> None:
    send(process.popen.pid, number)
    status = process.popen.wait(AT_MOST_S)

    assert status in (0, 128 + signal.SIGINT, 128 + signal.SIGTERM, -number)
    until(lambda: nobody_left(process.popen.pid))
    for word in ("Traceback", "KeyboardInterrupt", "Killing", "Unexpected exit", "Exception"):
        assert word not in process.text()
