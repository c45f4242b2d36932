"""What the bare parts of the chain cost, each alone: idle (one each 200 ms, everything asleep in between) and hot."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial

import asyncpg
import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from bench.figures import Figure, percentile
from bench.stage import Stage

_PAUSE_S = 0.2
_WARM_UP = 20

Part = Callable[[], Awaitable[object]]


def measure(stage: Stage, url: str, port: int, *, quick: bool) -> Iterator[Figure]:
    """Time an HTTP request to `serve`, a statement, a commit, a notification, and a message through Kafka."""
    topic = stage.topic("bench-floor")
    times = 20 if quick else 100
    for pause_s, count, what in ((_PAUSE_S, times, "idle"), (0.0, 10 * times, "hot")):
        taken = uvloop.run(_timed(partial(_parts, stage, url, port, topic), pause_s, count))
        for name, milliseconds in taken.items():
            low, median, high = (percentile(sorted(milliseconds), share) for share in (0.1, 0.5, 0.9))
            note = f"p10, p50 and p90 of {count}"
            yield Figure(what=f"bare {name}, {what}", unit="ms", runs=[low, median, high], note=note)


async def _timed(
    opened: Callable[[], AbstractAsyncContextManager[Mapping[str, Part]]], pause_s: float, count: int
) -> Mapping[str, list[float]]:
    async with opened() as parts:
        taken: dict[str, list[float]] = {name: [] for name in parts}
        for name, part in parts.items():
            for _ in range(count + _WARM_UP):
                if pause_s:
                    await asyncio.sleep(pause_s)
                began = time.perf_counter()
                await part()
                taken[name].append((time.perf_counter() - began) * 1000)
        return {name: done[_WARM_UP:] for name, done in taken.items()}


@asynccontextmanager
async def _parts(stage: Stage, url: str, port: int, topic: str) -> AsyncIterator[Mapping[str, Part]]:
    async with AsyncExitStack() as exits:
        database = await asyncpg.connect(url)
        exits.push_async_callback(database.close)
        listening = await asyncpg.connect(url)
        exits.push_async_callback(listening.close)
        heard = asyncio.Event()
        await listening.add_listener("bench_floor", lambda *_: heard.set())
        await database.execute("CREATE TABLE IF NOT EXISTS bench_floor (payload text)")
        kafka = stage.kafka.bootstrap_servers
        producer = AIOKafkaProducer(bootstrap_servers=kafka, enable_idempotence=True, acks="all")
        await producer.start()
        exits.push_async_callback(producer.stop)
        consumer = AIOKafkaConsumer(bootstrap_servers=kafka, auto_offset_reset="latest")
        await consumer.start()
        exits.push_async_callback(consumer.stop)
        consumer.assign([TopicPartition(topic, 0)])
        await consumer.seek_to_end()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        exits.callback(writer.close)
        payload = "x" * 700

        async def http() -> None:
            writer.write(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
            await reader.readuntil(b"\r\n\r\n")
            await reader.read(1000)

        async def notification() -> None:
            heard.clear()
            await database.execute("NOTIFY bench_floor")
            await heard.wait()

        async def message() -> None:
            await producer.send(topic, payload.encode(), partition=0)
            await consumer.getone()

        yield {
            "HTTP request to serve (/health/live)": http,
            "statement (SELECT 1)": lambda: database.fetchval("SELECT 1"),
            "commit of one row (fsync)": lambda: database.execute("INSERT INTO bench_floor VALUES ($1)", payload),
            "NOTIFY until heard": notification,
            "Kafka message until consumed": message,
        }
