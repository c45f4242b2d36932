"""`auth-service …` as a process of its own: with its own environment, and nothing of the developer's."""

import fcntl
import os
import subprocess
import sys
import tempfile
import termios
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from support.fork_server import Forked, ForkServer
from support.python_path import PYTHON_PATH

HERE = {"PATH": os.environ["PATH"], "PYTHONPATH": PYTHON_PATH}
"""What every process of a test needs of this machine."""

ANEW = {"PYTHONPATH": f"{PYTHON_PATH}{os.pathsep}"}
"""For a start in the usual way: not forked from a process that has made the imports (`fork_server`)."""

Started = Forked | subprocess.Popen[bytes]

_AS_A_WHOLE = ("demo", "dev")  # they start others, which are told by their command lines
_server = ForkServer(HERE)


def start(
    *arguments: str,
    cwd: Path,
    env: Mapping[str, str],
    output: int,
    errors: int | None = None,
    session: bool = True,
    terminal: bool = False,
) -> Started:
    """Run a command with this environment and `HERE`; its errors go where its output goes, unless told otherwise.

    With `terminal` its output is one, from which it reads too, and which its session gets.
    """
    environment = {**HERE, **env}
    as_usual = environment["PYTHONPATH"] != PYTHON_PATH or arguments[0] in _AS_A_WHOLE or sys.platform != "linux"
    with Path(os.devnull).open("rb") as nothing:
        streams = (output if terminal else nothing.fileno(), output, output if errors is None else errors)
        if not as_usual:
            return _server.start(arguments, cwd=cwd, env=environment, streams=streams, session=session)
        return subprocess.Popen(
            [sys.executable, "-m", "entrypoints.cli.main", *arguments],
            cwd=cwd,
            env=environment,
            stdin=streams[0],
            stdout=streams[1],
            stderr=streams[2],
            start_new_session=session,
            preexec_fn=_take_terminal if terminal else None,  # noqa: PLW1509  # so that Ctrl-C reaches it
        )


def _take_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def run(*arguments: str, cwd: Path, env: Mapping[str, str], within: float = 60) -> "subprocess.CompletedProcess[str]":
    """Run a command to its end.

    Raises:
        subprocess.TimeoutExpired: it did not end; it has been killed.
    """
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        process = start(*arguments, cwd=cwd, env=env, output=output.fileno(), errors=errors.fileno(), session=False)
        try:
            status = process.wait(within)
        finally:
            process.kill()
        return subprocess.CompletedProcess(arguments, status, text_of(output), text_of(errors))


def text_of(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode()
