"""`auth-service …` as a child process that never outlives this one."""

import asyncio
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import httpx

from devkit.servers import guard

_STOP_S = 25
"""How long a process may finish what it has in hand; `serve` needs up to 20 s, an idle one a moment."""

READY_S = 120.0
"""A machine under load takes a minute; a process that ends is reported at once, however long this is."""

_TAIL_LINES = 25
_POLL_S = 0.05


class ProcessFailedError(Exception):
    """A process ended, or was not ready in time; the message holds the end of its output."""


class Part(Protocol):
    """A process that others depend on: of this service, or a server."""

    @property
    def status(self) -> int | None:
        """Exit status when it has ended by itself, else `None`."""

    def fail(self, what: str) -> Exception:
        """Return the error that says `what` and shows the end of its output."""


class ServiceProcess:
    """A running command of this service, below the guard that also stops the embedded servers.

    Args:
        arguments: the command and its options, such as `["serve"]`.
        environment: all of it; nothing is inherited.
        cwd: the folder it runs in; a `.env` there counts.
        lock: a file descriptor that it holds as long as it lives.
        on_line: called with each line of its output, from another thread, until it raises OSError.
    """

    unshown: OSError | None = None
    """Why `on_line` is not called any more. The output is read on, or the process would wait for a reader."""

    def __init__(
        self,
        arguments: Sequence[str],
        *,
        environment: Mapping[str, str],
        cwd: Path,
        lock: int,
        on_line: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.name, self.arguments = arguments[0], arguments
        self._tail: deque[str] = deque(maxlen=_TAIL_LINES)
        self._on_line = on_line
        command = [sys.executable, "-m", "entrypoints.cli.main", *arguments]
        self._guard = subprocess.Popen(  # noqa: S603  # our own program
            [sys.executable, "-IS", guard.__file__, f"--lock-fd={lock}", f"--stop=SIGTERM:{_STOP_S}", "--", *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=[lock],
            cwd=cwd,
            env={**environment, "PYTHONUNBUFFERED": "1"},
            start_new_session=True,  # Ctrl-C in the terminal is ours to handle
        )
        assert self._guard.stdout  # noqa: S101  # piped
        with self._guard.stdout as answer:
            self.pid = int(answer.readline() or 0)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def status(self) -> int | None:
        """Its exit status, or `None` while it runs."""
        return self._guard.poll()

    @property
    def tail(self) -> str:
        """The end of its output."""
        return "\n".join(self._tail)

    def begin_stop(self) -> None:
        """Ask it to finish what it has in hand."""
        if self._guard.stdin and not self._guard.stdin.closed:
            self._guard.stdin.close()

    def stop(self) -> None:
        """Stop it and return when it is gone; the guard uses force after a while."""
        self.begin_stop()
        self._guard.wait()
        self._reader.join(timeout=5)

    def fail(self, what: str) -> ProcessFailedError:
        """Return the error that says `what` and shows the end of the output."""
        shown = f"\nThe end of its output:\n{self.tail}" if self._tail else "\nIt printed nothing."
        return ProcessFailedError(f"`auth-service {self.name}` {what}.{shown}")

    def _read(self) -> None:
        assert self._guard.stderr  # noqa: S101  # piped
        with self._guard.stderr as lines:
            for line in lines:
                text = line.decode("utf-8", "replace").rstrip()
                self._tail.append(text)
                if self.unshown is None:
                    try:
                        self._on_line(text)
                    except OSError as error:
                        self.unshown = error


async def until_ready(url: str, parts: Sequence[Part]) -> None:
    """Return when `GET url` answers 200.

    Raises:
        ProcessFailedError: one of the parts ended first, or the time is over: then it is the first that failed.
        EmbeddedStackError: the same of a server.
    """
    deadline = asyncio.get_running_loop().time() + READY_S
    async with httpx.AsyncClient(timeout=2, trust_env=False) as client:
        while True:
            raise_if_ended(parts)
            try:
                if (await client.get(url)).status_code == httpx.codes.OK:
                    return
            except httpx.TransportError:
                pass
            if asyncio.get_running_loop().time() > deadline:
                raise parts[0].fail(f"was not ready after {READY_S:g} s")
            await asyncio.sleep(_POLL_S)


def raise_if_ended(parts: Sequence[Part]) -> None:
    """Raise ProcessFailedError or EmbeddedStackError when one of them has ended, and what `raise_if_unshown` does."""
    raise_if_unshown(parts)
    for part in parts:
        if part.status is not None:
            raise part.fail(f"ended (exit status {part.status})")


def raise_if_unshown(parts: Sequence[Part]) -> None:
    """Raise OSError when what one of them says cannot be shown any more: the reader of our output has left."""
    for part in parts:
        if isinstance(part, ServiceProcess) and part.unshown:
            raise part.unshown


async def stop_all(processes: Sequence[ServiceProcess]) -> None:
    """Stop them at the same time."""
    for process in processes:
        process.begin_stop()
    for process in processes:
        await asyncio.to_thread(process.stop)
