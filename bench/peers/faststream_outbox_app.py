"""Peer: faststream-outbox 0.19 as its tutorial shows it, with the settings that were fastest here."""

import asyncio
import json
import os
import sys
import time

from faststream import FastStream
from faststream.kafka import KafkaBroker, KafkaResponse
from faststream_outbox import OutboxBroker, make_outbox_table  # type: ignore[import-not-found]  # in its own environment
from sqlalchemy import MetaData
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine

metadata = MetaData()
table = make_outbox_table(metadata, table_name="faststream_outbox")
engine = create_async_engine(os.environ["DATABASE_URL"].replace("://", "+asyncpg://", 1), pool_size=40)
outbox = OutboxBroker(engine, outbox_table=table, logger=None)


def application(workers: int) -> FastStream:
    kafka = KafkaBroker(os.environ["KAFKA_BOOTSTRAP_SERVERS"], enable_idempotence=True, acks="all", logger=None)

    @kafka.publisher(os.environ["TOPIC"])
    @outbox.subscriber(
        "users", max_workers=workers, fetch_batch_size=500, min_fetch_interval=0.01, terminal_flush_batch_size=100
    )  # type: ignore[untyped-decorator]
    async def relay(body: dict) -> KafkaResponse:  # type: ignore[type-arg]  # it is any JSON object
        return KafkaResponse(body, key=body["user"]["id"].encode())

    return FastStream(outbox, on_startup=[kafka.connect])


async def create() -> None:
    async with engine.begin() as connection:
        await connection.run_sync(metadata.create_all)
    await asyncio.Event().wait()


async def insert(rate: float, seconds: float) -> None:
    """Store an event of a new user `rate` times a second, each in a transaction of its own."""
    sessions = async_sessionmaker(engine, expire_on_commit=False)
    await outbox.connect()
    due: asyncio.Queue[int] = asyncio.Queue()

    async def store() -> None:
        while True:
            number = await due.get()
            user = {"id": f"user_{number}", "version": 1, "updated_at": time.time()}
            async with sessions() as session, session.begin():
                await outbox.publish({"user": user, "pad": "x" * 600}, queue="users", session=session)

    writers = [asyncio.create_task(store()) for _ in range(16)]
    began, number = time.monotonic(), 0
    while time.monotonic() < began + seconds:
        while number < (time.monotonic() - began) * rate:
            due.put_nowait(number)
            number += 1
        await asyncio.sleep(0.001)
    print(json.dumps(number))
    await asyncio.Event().wait()
    del writers


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["create"]:
            asyncio.run(create())
        case ["relay", workers]:
            asyncio.run(application(int(workers)).run())
        case ["insert", rate, seconds]:
            asyncio.run(insert(float(rate), float(seconds)))
