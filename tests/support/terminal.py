"""`auth-service …` on a terminal of a given width, as a person has it."""

import contextlib
import fcntl
import os
import pty
import re
import signal
import struct
import termios
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from attrs import define

from support import commands

_STEERING = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@define(eq=False)
class Terminal:
    """A command that runs on a terminal; `text` is what stands there, without colours and line ends of terminals."""

    popen: commands.Started
    master: int
    raw: bytes = b""

    @property
    def text(self) -> str:
        return _STEERING.sub("", self.raw.decode()).replace("\r\n", "\n")

    def press(self, keys: str) -> None:
        os.write(self.master, keys.encode())

    def read_until(self, there: Callable[[str], bool], *, within: float = 60) -> str:
        """Return what stands there as soon as it is what is waited for, or the command has ended."""
        deadline = time.monotonic() + within
        while not there(self.text):
            if time.monotonic() > deadline:
                raise TimeoutError(self.text)
            try:
                arrived = os.read(self.master, 65_536)
            except OSError:  # Linux: the last process has closed the terminal
                break
            if not arrived:
                break
            self.raw += arrived
        return self.text

    def end(self, *, within: float = 60) -> int:
        """Read to the end, and return the exit status as a shell has it."""
        self.read_until(lambda _: False, within=within)
        status = self.popen.wait(within)
        return 128 - status if status < 0 else status


@contextmanager
def terminal(folder: Path, *arguments: str, columns: int = 80, variables: Mapping[str, str]) -> Iterator[Terminal]:
    """Run `auth-service` with nothing but these variables; on the way out it is killed if it is still there."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    popen = commands.start(
        *arguments, cwd=folder, env={"TERM": "xterm-256color", **variables}, output=slave, terminal=True
    )
    os.close(slave)
    try:
        yield Terminal(popen, master)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(popen.pid, signal.SIGKILL)
        popen.wait(10)
        os.close(master)


def on_terminal(folder: Path, *arguments: str, columns: int = 80, variables: Mapping[str, str]) -> tuple[int, str]:
    """Run a command to its end; return its exit status and what stands on the terminal."""
    with terminal(folder, *arguments, columns=columns, variables=variables) as running:
        status = running.end()
        return status, running.text
