"""`auth-service serve` as a process of its own, for tests of what only a real server shows."""

import contextlib
import signal
import socket
import tempfile
import time
from pathlib import Path
from typing import IO

from attrs import define, field

from devkit.servers.ports import free_port
from support import commands
from support.web import environment

START_S = 60


@define
class Served:
    """A running `auth-service serve`."""

    process: commands.Started
    output: IO[bytes]
    port: int
    host: str
    log: list[str] = field(factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def connect(self) -> socket.socket:
        return socket.create_connection((self.host, self.port), timeout=30)

    def exchange(self, *parts: bytes) -> bytes:
        """Send the parts on a connection of their own; return all that comes until it is closed or silent."""
        with self.connect() as connection:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it may have answered already
                for part in parts:
                    connection.sendall(part)
            return everything(connection)

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.ended()

    def ended(self) -> int:
        status = self.process.wait(60)
        with self.output:
            self.output.seek(0)
            self.log += self.output.read().decode().splitlines()
        return status


def everything(connection: socket.socket, *, silence: float = 1.0) -> bytes:
    """All that comes until the other side closes, or says nothing for a second after it spoke.

    One that said that it closes has more time for it.
    """
    received = b""
    while True:
        try:
            chunk = connection.recv(65536)
        except TimeoutError:
            return received
        except ConnectionResetError:
            chunk = b""
        if not chunk:
            return received + b"<closed>"
        received += chunk
        connection.settimeout(10 if b"connection: close" in received.lower() else silence)


def start(
    *arguments: str,
    port: int | None = None,
    reached_at: str = "127.0.0.1",
    cwd: Path | None = None,
    **variables: str,
) -> Served:
    port = port or free_port()
    output = tempfile.TemporaryFile()  # noqa: SIM115  # `ended` closes it
    process = commands.start(
        "serve",
        "--port",
        str(port),
        *arguments,
        env=environment(**variables),
        cwd=cwd or Path.cwd(),
        output=output.fileno(),
        session=False,
    )
    return Served(process, output, port, reached_at)


def wait_until_it_answers(served: Served) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and served.process.poll() is None:
        try:
            if b"200 OK" in served.exchange(b"GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"):
                return
        except OSError:
            time.sleep(0.05)
    served.stop()
    raise AssertionError("\n".join(served.log))
