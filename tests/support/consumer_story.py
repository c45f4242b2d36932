"""What happens to users while a consumer that somebody else wrote looks on, and what it should say of it."""

import asyncio
import os
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from attrs import define

from support import processes
from support.writing import writer

LINES_S = 60


@define
class Program:
    """A running consumer."""

    process: asyncio.subprocess.Process

    async def line(self, pattern: str) -> str:
        """Return its next line, which must be of this kind."""
        assert self.process.stdout is not None
        async with asyncio.timeout(LINES_S):
            line = (await self.process.stdout.readline()).decode().rstrip()
        assert re.fullmatch(pattern, line), f"{line!r} is not {pattern!r}"
        return line


@asynccontextmanager
async def running(command: Sequence[str], **variables: str) -> AsyncIterator[Program]:
    process = await asyncio.create_subprocess_exec(
        *command, env={"PATH": os.environ["PATH"], **variables}, stdout=asyncio.subprocess.PIPE
    )
    try:
        yield Program(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def until_published(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    try:
        async with asyncio.timeout(LINES_S):
            while await connection.fetchval("SELECT count(*) FROM outbox"):
                await asyncio.sleep(0.05)
    finally:
        await connection.close()


async def repeat_all(bootstrap_servers: str, topic: str) -> None:
    """Publish everything once more, in its order, as a relay may that lost its acknowledgements."""
    async with (
        AIOKafkaConsumer(topic, bootstrap_servers=bootstrap_servers, auto_offset_reset="earliest") as consumer,
        AIOKafkaProducer(bootstrap_servers=bootstrap_servers) as producer,
    ):
        partitions = consumer.assignment()
        await consumer.seek_to_beginning(*partitions)
        ends = await consumer.end_offsets(partitions)
        while any([await consumer.position(partition) < end for partition, end in ends.items()]):
            for partition, records in (await consumer.getmany(timeout_ms=200)).items():
                for record in records:
                    await producer.send_and_wait(
                        topic,
                        record.value,
                        key=record.key,
                        headers=list(record.headers),
                        partition=partition.partition,
                    )


async def publish_unknown(bootstrap_servers: str, topic: str) -> None:
    """Publish an event of a type that does not exist yet."""
    headers = {"ce_specversion": "1.0", "ce_id": "1", "ce_type": "anomalyze.user.updated.v2", "ce_source": "/x"}
    async with AIOKafkaProducer(bootstrap_servers=bootstrap_servers) as producer:
        pairs = [(name, text.encode()) for name, text in headers.items()]
        await producer.send_and_wait(topic, b"not even JSON", key=b"user_0", headers=pairs)


async def play(
    command: Sequence[str], folder: Path, database_url: str, kafka: str, topics: tuple[str, str], **variables: str
) -> None:
    """Let users live before, while and after the consumer starts; it must tell each change once, and nothing else.

    `topics` are that of the events and that of the state.
    """
    events, state = topics
    variables |= {
        "KAFKA_BOOTSTRAP_SERVERS": kafka,
        "KAFKA_USER_EVENTS_TOPIC": events,
        "KAFKA_USER_STATE_TOPIC": state,
    }
    async with writer(database_url, users=3) as users:
        with processes.relay(folder, database_url, kafka, events, state_topic=state):
            await users.changes(2)
            await users.delete("user_2")
            await until_published(database_url)
            await repeat_all(kafka, events)

            async with running(command, **variables) as consumer:
                await consumer.line("ready: 2 users")
                await users.change("user_0")
                await consumer.line("updated user_0 version 3: public_metadata")
                await repeat_all(kafka, events)
                await publish_unknown(kafka, events)
                await consumer.line("skipped anomalyze.user.updated.v2")
                await users.change("user_3")
                await consumer.line("created user_3 version 1")
                await users.delete("user_1")
                await consumer.line("deleted user_1 version 3")
