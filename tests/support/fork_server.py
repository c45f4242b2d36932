"""Processes of `auth-service` that a test starts, forked from one that has made the imports.

A start of `serve` costs 1.5 s of CPU, 1.1 s of it for importing other people's packages, and the tests start hundreds
of commands. The server imports those packages and what commands import of ours, has one thread, and forks for each
start: the child gets the folder, environment, standard streams, session and terminal that `subprocess` would give it,
and runs `entrypoints.cli.main`.

Tests of the start itself, of what a command imports, and of what others see as its command line, start it in the usual
way.
"""

import atexit
import contextlib
import faulthandler
import fcntl
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

IMPORTS = (
    "ada_url",
    "alembic.command",
    "asyncpg",
    "clerk_backend_api.models.session",
    "clerk_backend_api.models.user",
    "clerk_backend_api.sessions",
    "clerk_backend_api.users",
    "cyclopts.help",
    "cyclopts.validators",
    "dependency_injector.wiring",
    "entrypoints.cli.config",
    "entrypoints.cli.doctor.command",
    "entrypoints.cli.events",
    "entrypoints.cli.migrate",
    "entrypoints.cli.outbox.commands",
    "entrypoints.cli.reconcile.command",
    "entrypoints.cli.serve",
    "entrypoints.cli.topic",
    "entrypoints.cli.users.commands",
    "faststream.kafka",
    "granian.server.mp",
    "httpcore",
    "httpx",
    "jwt",
    "litestar.openapi.spec",
    "litestar.plugins.pydantic",
    "rich.table",
    "sqlalchemy.dialects.postgresql.asyncpg",
    "sqlalchemy.ext.asyncio",
    "structlog",
    "svix.webhooks",
    "uvloop",
)
"""What most commands import.

prometheus_client and OpenTelemetry's SDK read the environment when they are imported, so what imports them is not here
(`entrypoints.cli.relay`, `entrypoints.http.app`).
"""

_LONGEST = 1 << 17  # bytes of a request


class Forked:
    """A child of the server, with the part of `subprocess.Popen` that tests use."""

    def __init__(self, status: socket.socket) -> None:
        self._status = status
        self._lock = threading.Lock()
        self.returncode: int | None = None
        self.pid = int(status.recv(32))

    def poll(self) -> int | None:
        return self._ended(0)

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit status; that of a signal is negative.

        Raises:
            subprocess.TimeoutExpired: it still runs.
        """
        status = self._ended(timeout)
        if status is None:
            raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
        return status

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _ended(self, timeout: float | None) -> int | None:
        with self._lock:
            if self.returncode is None and select.select([self._status], [], [], timeout)[0]:
                self.returncode = int(self._status.recv(32))
                self._status.close()
        return self.returncode


class ForkServer:
    """The server, started at the first use.

    Args:
        environment: in which it makes its imports; a child has only its own.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._lock = threading.Lock()
        self._requests: socket.socket | None = None

    def start(
        self,
        arguments: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        streams: Sequence[int],
        session: bool,
    ) -> Forked:
        """Run `auth-service` with these arguments; `streams` are descriptors for its input, output and errors.

        Where the input is a terminal, that becomes the one of a new session.
        """
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        message = json.dumps({"arguments": [*arguments], "cwd": str(cwd), "env": {**env}, "session": session}).encode()
        with self._lock, theirs:
            if self._requests is None:
                self._requests = self._begin()
            socket.send_fds(self._requests, [message], [*streams, theirs.fileno()])
        return Forked(ours)

    def _begin(self) -> socket.socket:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            server = subprocess.Popen(
                [sys.executable, "-m", "support.fork_server", str(theirs.fileno())],
                env=self._environment,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,  # a child's buffers are those of a program whose output is no terminal
            )
        atexit.register(_end, server, ours)
        return ours


def _end(server: "subprocess.Popen[bytes]", requests: socket.socket) -> None:
    requests.close()  # a killed process closes it as well
    server.wait()


def _serve(requests: socket.socket) -> "tuple[dict[str, Any], list[int]] | None":
    """Return nothing when nobody asks any more; in a child, what was asked for and its standard streams."""
    children: dict[int, tuple[int, socket.socket]] = {}
    poll = select.poll()
    poll.register(requests, select.POLLIN)
    while True:
        for ready, _ in poll.poll():
            if ready in children:
                poll.unregister(ready)
                pid, status = children.pop(ready)
                os.close(ready)
                _tell(status, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
                status.close()
                continue
            message, descriptors, _, _ = socket.recv_fds(requests, _LONGEST, 4)
            if not message:
                return None
            pid = os.fork()
            if pid == 0:
                return json.loads(message), descriptors[:3]
            status = socket.socket(fileno=descriptors.pop())
            for descriptor in descriptors:
                os.close(descriptor)
            _tell(status, pid)
            child = os.pidfd_open(pid)
            children[child] = (pid, status)
            poll.register(child, select.POLLIN)


_shared: set[str] = set()
"""The modules of before the fork."""
_status: list[int] = []
"""Of a child, once it is known."""


def _end_early() -> None:
    """End a child here, after all that it has registered for its end.

    Python would go on to touch every module and string that the child shares with the server, and so copy their memory,
    which takes twice as long as a short command. What a test may see of that happens here: the child's own modules are
    emptied, what they leave is collected, and output is written. An output that is broken is Python's to tell.
    """
    if not _status:  # SIGINT, by which Python ends itself
        return
    for name in reversed([*sys.modules]):
        if name not in _shared:
            vars(sys.modules[name]).clear()
    gc.collect()
    try:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None and not stream.closed:
                stream.flush()
    except (OSError, ValueError):
        return
    os._exit(_status[0])


def _tell(asker: socket.socket, number: int) -> None:
    with contextlib.suppress(BrokenPipeError):  # it has ended since
        asker.send(str(number).encode())


def _run(request: Mapping[str, Any], streams: Sequence[int]) -> None:
    """Be the process that was asked for."""
    if request["session"]:
        os.setsid()
    for number, descriptor in enumerate(streams):
        os.dup2(descriptor, number)
    for name, number in (("stdin", 0), ("stdout", 1), ("stderr", 2)):  # Python's were made for other files
        mode = "w" if number else "r"
        buffering, errors = (1, "backslashreplace") if number == 2 else (-1, None)  # as Python's: errors line by line
        setattr(sys, name, os.fdopen(number, mode, buffering, sys.stdout.encoding, errors, closefd=False))
    if request["session"] and os.isatty(0):
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    os.environ.clear()
    os.environ.update(request["env"])
    os.chdir(request["cwd"])
    time.tzset()
    if os.environ.get("PYTHONFAULTHANDLER"):
        faulthandler.enable()
    sys.path[0] = request["cwd"]
    sys.argv[1:] = request["arguments"]
    try:
        runpy.run_module("entrypoints.cli.main", run_name="__main__", alter_sys=True)
        _status.append(0)
    except SystemExit as end:
        _status.append(0 if end.code is None else end.code if isinstance(end.code, int) else 1)
        raise
    except Exception:
        _status.append(1)
        raise


def main() -> None:
    atexit.register(_end_early)  # before all imports, and so called after all that they register
    from entrypoints import plugins  # noqa: PLC0415

    for name in IMPORTS:
        importlib.import_module(name)
    for group in (plugins.COMMANDS, plugins.ENVIRONMENT, plugins.SETTINGS):
        plugins.installed(group)
    _shared.update(sys.modules)
    gc.freeze()
    with socket.socket(fileno=int(sys.argv[1])) as requests:
        asked = _serve(requests)
    if asked is not None:
        _run(*asked)


if __name__ == "__main__":
    main()
