"""The topics that revocations come from, on a real broker, and what the auth service writes into them."""

import asyncio
import itertools
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from attrs import frozen

from anomalyze_auth.revocations import Revocations

_NUMBERS = itertools.count(1)


@frozen
class Topics:
    address: str
    admin: AIOKafkaAdminClient
    producer: AIOKafkaProducer
    sessions: str
    users: str

    async def create(self, name: str, partitions: int = 3) -> None:
        await self.admin.create_topics([NewTopic(name, partitions, 1)])
        async with asyncio.timeout(60):
            while (await self.admin.describe_topics([name]))[0]["error_code"]:  # of all topics there may be hundreds
                await asyncio.sleep(0.02)

    async def delete(self, name: str) -> None:
        await self.admin.delete_topics([name])
        async with asyncio.timeout(60):
            while name in await self.admin.list_topics():
                await asyncio.sleep(0.02)

    async def tell(self, message: tuple[Mapping[str, str], bytes], **more: Any) -> None:
        attributes, value = message
        topic = self.sessions if "session" in attributes["ce_type"] else self.users
        await self.producer.send_and_wait(
            topic,
            value,
            key=attributes["ce_subject"].encode(),
            headers=[(name, text.encode()) for name, text in attributes.items()],
            **more,
        )

    def followed(self, **settings: Any) -> Revocations:
        return Revocations(self.address, session_topic=self.sessions, user_topic=self.users, **settings)


@asynccontextmanager
async def made_topics(address: str) -> AsyncIterator[Topics]:
    """Two new topics of three partitions."""
    number = f"{os.getpid()}-{next(_NUMBERS)}"  # tests of other processes use the same broker
    admin = AIOKafkaAdminClient(bootstrap_servers=address, metadata_max_age_ms=500)
    await admin.start()
    async with AIOKafkaProducer(bootstrap_servers=address, metadata_max_age_ms=500) as producer:
        made = Topics(address, admin, producer, f"sdk-revoked-sessions-{number}", f"sdk-revoked-users-{number}")
        await made.create(made.sessions)
        await made.create(made.users)
        yield made
    there = await admin.list_topics()
    await admin.delete_topics([name for name in (made.sessions, made.users) if name in there])
    await admin.close()


async def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)
