"""`auth-service …` as processes of their own, which a test may kill, freeze and stop."""

import contextlib
import itertools
import json
import os
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from attrs import define

from support import commands
from support.web import environment

_numbers = itertools.count(1)

started: "list[Process]" = []
"""Every process of this run, for whoever searches what they wrote."""


@define(eq=False)
class Process:
    """A command that runs, with all it starts in a process group of its own."""

    popen: commands.Started
    output: Path
    variables: Mapping[str, str]

    @property
    def alive(self) -> bool:
        return self.popen.poll() is None

    def signal(self, number: int) -> None:
        """Signal the whole group: a crash or a pause takes a server's workers along."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.popen.pid, number)

    def kill(self) -> None:
        """Kill the whole group, and wait for all of it: until the last one has ended, its locks and ports are taken."""
        group: list[psutil.Process] = []
        with contextlib.suppress(psutil.NoSuchProcess):  # it has ended by itself
            group = psutil.Process(self.popen.pid).children(recursive=True)
        self.signal(signal.SIGKILL)
        self.popen.wait(30)
        psutil.wait_procs(group, 30)

    def pause(self) -> None:
        self.signal(signal.SIGSTOP)

    def resume(self) -> None:
        self.signal(signal.SIGCONT)

    def stop(self, within: float = 30) -> int:
        """SIGTERM as an orchestrator sends it, to the first process only; return the exit status."""
        self.popen.terminate()
        return self.popen.wait(within)

    def text(self) -> str:
        return self.output.read_text(encoding="utf-8", errors="replace")

    def events(self, name: str | None = None) -> list[dict[str, Any]]:
        """Return the log lines so far, all of them or those of one `event`."""
        lines = []
        for line in self.text().splitlines():
            if name is not None and name not in line:
                continue
            with contextlib.suppress(json.JSONDecodeError):
                if isinstance(entry := json.loads(line), dict):
                    lines.append(entry)
        return [entry for entry in lines if name is None or entry.get("event") == name]

    def wait_for(self, event: str, *, count: int = 1, within: float = 60) -> list[dict[str, Any]]:
        """Return the log lines with this `event` when there are `count` of them."""
        deadline = time.monotonic() + within
        while len(found := self.events(event)) < count:
            if time.monotonic() > deadline or not self.alive:
                raise TimeoutError(f"{len(found)} of {count} lines {event!r} after {within} s:\n{self.text()}")
            time.sleep(0.02)
        return found


@contextmanager
def running(folder: Path, *arguments: str, **variables: str) -> Iterator[Process]:
    """Run `auth-service` with nothing but these variables; on the way out it is killed if it is still there."""
    output = folder / f"{arguments[0]}-{next(_numbers)}.log"
    with output.open("wb") as file:
        popen = commands.start(
            *arguments,
            cwd=folder,  # not where a developer's `.env` is
            env={"PYTHONFAULTHANDLER": "1", "LOG_FORMAT": "json", **variables},
            output=file.fileno(),
        )
    process = Process(popen, output, variables)
    started.append(process)
    try:
        yield process
    finally:
        process.kill()


@contextmanager
def relay(
    folder: Path,
    database_url: str,
    bootstrap_servers: str,
    topic: str,
    *arguments: str,
    state_topic: str = "",
    **variables: str,
) -> Iterator[Process]:
    """Run `auth-service relay`; without a `state_topic` it feeds none."""
    with running(
        folder,
        "relay",
        *arguments,
        DATABASE_URL=database_url,
        KAFKA_BOOTSTRAP_SERVERS=bootstrap_servers,
        KAFKA_USER_EVENTS_TOPIC=topic,
        KAFKA_USER_STATE_TOPIC=state_topic,
        **variables,
    ) as process:
        yield process


@contextmanager
def serve(folder: Path, database_url: str, port: int, *arguments: str, **variables: str) -> Iterator[Process]:
    """Run `auth-service serve`; it takes webhooks that are signed with `support.web.SECRET`."""
    variables = environment(DATABASE_URL=database_url, **variables)
    with running(folder, "serve", "--port", str(port), *arguments, **variables) as process:
        yield process
