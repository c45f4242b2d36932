"""Keep all users in memory: start with the state topic, continue with the events.

pip install 'anomalyze-auth[kafka]'
KAFKA_BOOTSTRAP_SERVERS=localhost:9092 python follow_users.py
"""

import asyncio
import os
from collections.abc import AsyncIterator

from aiokafka import AIOKafkaConsumer, ConsumerRecord

from anomalyze_auth.events import TOPIC, UnknownEvent, UserDeleted, UserUpdated, decode
from anomalyze_auth.kafka import KafkaConnection
from anomalyze_auth.state import STATE_TOPIC, UserStates, decode_state

KAFKA = KafkaConnection.from_environment().client_options()  # TLS, SASL, client certificates: by KAFKA_… variables
EVENTS = os.environ.get("KAFKA_USER_EVENTS_TOPIC", TOPIC)
STATE = os.environ.get("KAFKA_USER_STATE_TOPIC", STATE_TOPIC)


async def up_to_now(consumer: AIOKafkaConsumer) -> AsyncIterator[ConsumerRecord]:
    """Every record from the beginning to the topic's current end."""
    partitions = consumer.assignment()
    await consumer.seek_to_beginning(*partitions)
    ends = await consumer.end_offsets(partitions)
    while any([await consumer.position(partition) < end for partition, end in ends.items()]):
        for records in (await consumer.getmany(timeout_ms=500)).values():
            for record in records:
                yield record


async def main() -> None:
    users = UserStates()  # drops versions that are not newer

    # No consumer group: the memory is empty at each start.
    async with AIOKafkaConsumer(STATE, **KAFKA, auto_offset_reset="earliest") as states:
        async for record in up_to_now(states):
            users.apply(decode_state(record.headers, record.key, record.value))

    async with AIOKafkaConsumer(EVENTS, **KAFKA, auto_offset_reset="earliest") as events:
        # From the beginning too: it has what was published while the state was read; the rest is dropped.
        async for record in up_to_now(events):
            users.apply(decode(record.headers, record.value))
        print(f"ready: {len(users)} users", flush=True)

        async for record in events:
            event = decode(record.headers, record.value)
            if isinstance(event, UnknownEvent):
                print(f"skipped {event.type}", flush=True)
            elif users.apply(event):
                match event:
                    case UserDeleted():
                        print(f"deleted {event.user_id} version {event.version}", flush=True)
                    case UserUpdated():
                        changed = ", ".join(sorted(event.changed))
                        print(f"updated {event.user_id} version {event.version}: {changed}", flush=True)
                    case _:
                        print(f"created {event.user_id} version {event.version}", flush=True)


if __name__ == "__main__":
    asyncio.run(main())
