"""HTTP load in a process of its own: raw sockets and ready-made requests, so that little of the machine goes into it.

As a script it reads a `Plan` from one file and writes a `Load` to another. `start` and `run` do that from a benchmark.
"""

import asyncio
import subprocess
import sys
import tempfile
import time
from collections import Counter, deque
from pathlib import Path
from typing import cast

import msgspec
import uvloop

from bench.figures import percentiles

_SHORT = 80


class Plan(msgspec.Struct):
    """What to send.

    Attributes:
        connections: Kept open; each has one request under way at a time.
        rate: Requests a second whatever the answers do; without it each connection sends on as soon as it is answered.
        seconds: Stop sending after this time.
        cycle: Begin again with the first request after the last.
    """

    port: int
    requests: list[bytes]
    connections: int
    seconds: float
    rate: float | None = None
    cycle: bool = False


class Load(msgspec.Struct):
    """What came back.

    Attributes:
        latencies_ms: From when a request was due (a wait for a free connection counts) to its answer's last byte.
        due_s: When each request was due, seconds since 1970, in the order of the plan.
        short: How often each short body came.
        cpu_share: Of one core, that the load generator itself took.
    """

    seconds: float
    latencies_ms: list[float]
    due_s: list[float]
    statuses: dict[str, int]
    short: dict[str, int]
    cpu_share: float

    @property
    def rate(self) -> float:
        return len(self.latencies_ms) / self.seconds

    @property
    def summary(self) -> str:
        bad = {status: count for status, count in self.statuses.items() if status != "200"}
        return percentiles(self.latencies_ms) + (f"; not 200: {bad}" if bad else "")


class Running:
    """A load under way."""

    def __init__(self, plan: Plan) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="bench-load-")
        self._timeout = plan.seconds + 60
        files = [Path(self._folder.name, name) for name in ("plan", "load")]
        files[0].write_bytes(msgspec.msgpack.encode(plan))
        self._answer = files[1]
        self._process = subprocess.Popen([sys.executable, "-m", "bench.load", *map(str, files)])

    def result(self) -> Load:
        try:
            if self._process.wait(self._timeout):
                raise RuntimeError("the load generator failed")
            return msgspec.msgpack.decode(self._answer.read_bytes(), type=Load)
        finally:
            self._process.kill()
            self._process.wait()
            self._folder.cleanup()


def run(plan: Plan) -> Load:
    return Running(plan).result()


class _Connection(asyncio.Protocol):
    def __init__(self, generator: "_Generator") -> None:
        self._generator = generator
        self._received = b""
        self._due = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def send(self, request: bytes, due: float) -> None:
        self._due = due
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, separator, body = self._received.partition(b"\r\n\r\n")
        if not separator:
            return
        _, _, length = head.lower().partition(b"content-length:")
        if len(body) < int(length.partition(b"\r")[0] or 0):
            return
        self._received = b""
        self._generator.answered(self, head[9:12].decode(), body, self._due)

    def connection_lost(self, exc: Exception | None) -> None:
        self._generator.lost(exc)


class _Generator:
    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.load = Load(0, [], [], {}, {}, 0)
        self._statuses: Counter[str] = Counter()
        self._short: Counter[str] = Counter()
        self._next = 0
        self._under_way = 0
        self._idle: deque[_Connection] = deque()
        self._waiting: deque[tuple[bytes, float]] = deque()
        self._over = asyncio.Event()
        self._all_sent = False
        self._closing = False

    async def run(self) -> Load:
        loop = asyncio.get_running_loop()
        opened = [
            (await loop.create_connection(lambda: _Connection(self), "127.0.0.1", self.plan.port))[1]
            for _ in range(self.plan.connections)
        ]
        cpu, began = time.process_time(), time.time()
        self._end = began + self.plan.seconds
        if self.plan.rate:
            self._idle.extend(opened)
            while self._send_due(int((time.time() - began) * self.plan.rate) + 1):  # noqa: ASYNC110
                await asyncio.sleep(0.001)
            self._all_sent = True
            self._finish()
        else:
            for connection in opened:
                self._send_on(connection)
        await asyncio.wait_for(self._over.wait(), self.plan.seconds + 30)
        self._closing = True
        self.load.seconds = time.time() - began
        self.load.cpu_share = (time.process_time() - cpu) / self.load.seconds
        self.load.statuses, self.load.short = dict(self._statuses), dict(self._short)
        for connection in opened:
            connection.transport.close()
        return self.load

    def answered(self, connection: _Connection, status: str, body: bytes, due: float) -> None:
        self.load.latencies_ms.append((time.time() - due) * 1000)
        self._statuses[status] += 1
        if len(body) < _SHORT:
            self._short[body.decode("latin-1")] += 1
        self._under_way -= 1
        if self.plan.rate is None:
            self._send_on(connection)
        elif self._waiting:
            self._send(connection, *self._waiting.popleft())
        else:
            self._idle.append(connection)
            self._finish()

    def lost(self, error: Exception | None) -> None:
        if not self._closing:
            sys.exit(f"the server closed a connection: {error}")

    def _send(self, connection: _Connection, request: bytes, due: float) -> None:
        self._under_way += 1
        connection.send(request, due)

    def _take(self) -> bytes | None:
        requests = self.plan.requests
        if time.time() >= self._end or (self._next >= len(requests) and not self.plan.cycle):
            return None
        self._next += 1
        return requests[(self._next - 1) % len(requests)]

    def _send_on(self, connection: _Connection) -> None:
        request = self._take()
        if request is not None:
            self._send(connection, request, time.time())
        else:
            self._all_sent = True
            self._finish()

    def _finish(self) -> None:
        if self._all_sent and not self._under_way and not self._waiting:
            self._over.set()

    def _send_due(self, until: int) -> bool:
        """Send all up to this number; tell whether there will be more."""
        while self._next < until:
            request = self._take()
            if request is None:
                return False
            now = time.time()
            self.load.due_s.append(now)
            if self._idle:
                self._send(self._idle.popleft(), request, now)
            else:
                self._waiting.append((request, now))
        return True


async def _main(plan_file: str, load_file: str) -> None:
    plan = msgspec.msgpack.decode(Path(plan_file).read_bytes(), type=Plan)  # noqa: ASYNC240  # before the load
    Path(load_file).write_bytes(msgspec.msgpack.encode(await _Generator(plan).run()))  # noqa: ASYNC240  # and after it


if __name__ == "__main__":
    uvloop.run(_main(*sys.argv[1:3]))
