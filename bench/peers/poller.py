"""Peer: the relay that everybody writes first: select a hundred, send each and wait, mark them as sent."""

import asyncio
import os

import asyncpg
from aiokafka import AIOKafkaProducer

BATCH = 100
IDLE_S = 0.1


async def main() -> None:
    producer = AIOKafkaProducer(
        bootstrap_servers=os.environ["KAFKA_BOOTSTRAP_SERVERS"], enable_idempotence=True, acks="all"
    )
    database = await asyncpg.connect(os.environ["DATABASE_URL"])
    async with producer:
        while True:
            rows = await database.fetch(
                "SELECT id, key, payload FROM poller_outbox WHERE sent_at IS NULL ORDER BY id LIMIT $1", BATCH
            )
            for row in rows:
                await producer.send_and_wait(os.environ["TOPIC"], row["payload"], key=row["key"].encode())
            ids = [row["id"] for row in rows]
            await database.execute("UPDATE poller_outbox SET sent_at = now() WHERE id = ANY($1)", ids)
            if not rows:
                await asyncio.sleep(IDLE_S)


asyncio.run(main())
