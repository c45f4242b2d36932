"""Many clients in a process of their own: attackers that hold or repeat something, and honest ones at a steady rate.

As a script it reads a `Crowd` from one file and writes a `Seen` to another.
"""

import asyncio
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import msgspec
import uvloop

_PAUSE_S = 0.05
_PATIENCE_S = 30.0
_OPENING_AT_ONCE = 200


class Crowd(msgspec.Struct):
    """What its clients do.

    Attributes:
        requests: Ready-made; a client sends one, whole or not, and reads what comes.
        clients: At a time. Each sends again when it is answered, and connects again when it is cut off.
        rate: Requests a second, each on a connection of its own; then `clients` does not count.
    """

    port: int
    requests: list[bytes]
    seconds: float
    clients: int = 0
    rate: float | None = None


class Seen(msgspec.Struct):
    """What came back: `latencies_ms` from when a request was due, its connection included; `answers` by status."""

    latencies_ms: list[float]
    answers: dict[str, int]


class Gathered:
    """A crowd under way."""

    def __init__(self, crowd: Crowd) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="bench-crowd-")
        self._patience = crowd.seconds + 2 * _PATIENCE_S
        files = [Path(self._folder.name, name) for name in ("crowd", "seen")]
        files[0].write_bytes(msgspec.msgpack.encode(crowd))
        self._seen = files[1]
        self._process = subprocess.Popen([sys.executable, "-m", "bench.crowd", *map(str, files)])

    def result(self) -> Seen:
        try:
            if self._process.wait(self._patience):
                raise RuntimeError("the crowd failed")
            return msgspec.msgpack.decode(self._seen.read_bytes(), type=Seen)
        finally:
            self._process.kill()
            self._process.wait()
            self._folder.cleanup()


class _Clients:
    def __init__(self, crowd: Crowd) -> None:
        self._crowd = crowd
        self._latencies_ms: list[float] = []
        self._answers: Counter[str] = Counter()
        self._opening = asyncio.Semaphore(_OPENING_AT_ONCE)
        self._ends = time.monotonic() + crowd.seconds

    async def run(self) -> Seen:
        if self._crowd.rate is None:
            tasks = [asyncio.create_task(self._attack(number)) for number in range(self._crowd.clients)]
            await asyncio.wait(tasks, timeout=self._crowd.seconds)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        else:
            await self._visit(self._crowd.rate)
        return Seen(self._latencies_ms, dict(self._answers))

    async def _visit(self, rate: float) -> None:
        began, visits = time.monotonic(), list[asyncio.Task[None]]()
        for number in range(int(rate * self._crowd.seconds)):
            due = began + number / rate
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            visits.append(asyncio.create_task(self._one_visit(number, due)))
        await asyncio.gather(*visits)

    async def _one_visit(self, number: int, due: float) -> None:
        try:
            async with asyncio.timeout(_PATIENCE_S):
                reader, writer = await asyncio.open_connection("127.0.0.1", self._crowd.port)
                writer.write(self._crowd.requests[number % len(self._crowd.requests)])
                status = await _answer(reader)
                writer.close()
        except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
            status = type(error).__name__
        self._latencies_ms.append((time.monotonic() - due) * 1000)
        self._answers[status] += 1

    async def _attack(self, number: int) -> None:
        request = self._crowd.requests[number % len(self._crowd.requests)]
        while time.monotonic() < self._ends:
            writer = None
            try:
                async with self._opening:
                    reader, writer = await asyncio.open_connection("127.0.0.1", self._crowd.port)
                while True:
                    writer.write(request)
                    self._answers[await _answer(reader)] += 1
            except (OSError, asyncio.IncompleteReadError):
                self._answers["cut off"] += 1
            finally:
                if writer:
                    writer.close()
            await asyncio.sleep(_PAUSE_S)


async def _answer(reader: asyncio.StreamReader) -> str:
    head = await reader.readuntil(b"\r\n\r\n")
    _, _, length = head.lower().partition(b"content-length:")
    await reader.readexactly(int(length.partition(b"\r")[0] or 0))
    return head[9:12].decode()


async def _main(crowd_file: str, seen_file: str) -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    crowd = msgspec.msgpack.decode(Path(crowd_file).read_bytes(), type=Crowd)  # noqa: ASYNC240  # before the crowd
    Path(seen_file).write_bytes(msgspec.msgpack.encode(await _Clients(crowd).run()))  # noqa: ASYNC240  # and after it


if __name__ == "__main__":
    uvloop.run(_main(*sys.argv[1:3]))
