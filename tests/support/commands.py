"""`auth-service …` as a process of its own: with its own environment, and nothing of the developer's."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

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
) -> Started:
    """Run a command with this environment and `HERE`; its errors go where its output goes, unless told otherwise."""
    environment = {**HERE, **env}
    errors = output if errors is None else errors
    as_usual = environment["PYTHONPATH"] != PYTHON_PATH or arguments[0] in _AS_A_WHOLE or sys.platform != "linux"
    if not as_usual:
        with Path(os.devnull).open("rb") as nothing:
            streams = (nothing.fileno(), output, errors)
            return _server.start(arguments, cwd=cwd, env=environment, streams=streams, session=session)
    return subprocess.Popen(
        [sys.executable, "-m", "entrypoints.cli.main", *arguments],
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=errors,
        start_new_session=session,
    )


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
        texts = []
        for file in (output, errors):
            file.seek(0)
            texts.append(file.read().decode())
    return subprocess.CompletedProcess(arguments, status, *texts)
