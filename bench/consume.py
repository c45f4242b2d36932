"""An outside consumer, in a process of its own: notes when each message of a topic arrived.

As a script: `bootstrap-servers topic file` reads from the topic's end until standard input closes, then writes what it
got. `Consumer` does that from a benchmark.
"""

import asyncio
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import msgspec
import uvloop
from aiokafka import AIOKafkaConsumer, TopicPartition

from bench.stage import PARTITIONS


class Arrival(msgspec.Struct):
    """When a message arrived, seconds since 1970, and what it was."""

    at: float
    key: str
    value: bytes


class Consumer:
    """Reads from now on."""

    def __init__(self, bootstrap_servers: str, topic: str) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="bench-consume-")
        self._file = Path(self._folder.name, "arrivals")
        command = [sys.executable, "-m", "bench.consume", bootstrap_servers, topic, str(self._file)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._process.stdout  # noqa: S101  # piped
        if not self._process.stdout.readline():
            raise RuntimeError("the consumer did not start")

    def stop(self) -> list[Arrival]:
        """Return all that arrived."""
        try:
            self._process.communicate(timeout=60)
            return msgspec.msgpack.decode(self._file.read_bytes(), type=list[Arrival])
        finally:
            self._process.kill()
            self._process.wait()
            self._folder.cleanup()


async def _main(bootstrap_servers: str, topic: str, file: str) -> None:
    loop = asyncio.get_running_loop()
    closed = asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), closed.set)
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap_servers, auto_offset_reset="latest")
    await consumer.start()
    partitions = [TopicPartition(topic, number) for number in range(PARTITIONS)]
    consumer.assign(partitions)
    await consumer.seek_to_end(*partitions)
    arrivals: list[Arrival] = []
    print("ready", flush=True)
    while not closed.is_set():
        for records in (await consumer.getmany(timeout_ms=100)).values():
            at = time.time()
            arrivals += [Arrival(at, record.key.decode(), record.value) for record in records]
    await consumer.stop()
    Path(file).write_bytes(msgspec.msgpack.encode(arrivals))  # noqa: ASYNC240  # all is over


if __name__ == "__main__":
    uvloop.run(_main(*sys.argv[1:4]))
