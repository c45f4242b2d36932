"""Reads the effects of webhooks: rows and outbox in PostgreSQL, events and consumers in Kafka."""

import asyncio
import re
from collections.abc import Mapping
from typing import Any, NoReturn
from uuid import UUID

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from attrs import frozen
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from anomalyze_auth.kafka import KafkaConnection
from anomalyze_auth.kafka.security import client_options
from application.errors import ApplicationError
from application.relay.ports import OpenTopicTail, Record
from devkit.console.composition import rows_of
from devkit.console.records import Event, Records, payload_of
from devkit.fake_clerk.deliveries import MOST
from domain.user import USER_ID
from entrypoints.composition.topics import TopicsContainer
from entrypoints.config.settings import KafkaSettings

_SEQUENCE = re.compile(r"[0-9]{1,20}")
_BATCH = 500
_AGAIN_S = 1.0
_POSITIONS_S = 1.0


@frozen
class Watch:
    """Keeps `records` current, until cancelled; an outage is noted there and tried again.

    Args:
        records: what is filled.
        engine: the service's database; `None`: none is configured.
        kafka: its topics; `None`: none are configured.
    """

    records: Records
    engine: AsyncEngine | None = None
    kafka: KafkaSettings | None = None

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            if self.engine is not None:
                tasks.create_task(self._read_rows(self.engine))
            if self.kafka is not None:
                topics = TopicsContainer(kafka=self.kafka)
                tasks.create_task(self._follow(topics.tail_topic, self.kafka.kafka_user_events_topic))
                tasks.create_task(self._follow(topics.tail_session_topic, self.kafka.kafka_session_events_topic))
                tasks.create_task(self._read_positions(self.kafka))

    async def _read_rows(self, engine: AsyncEngine) -> NoReturn:
        while True:
            dirty = [self.records.dirty.pop() for _ in range(min(_BATCH, len(self.records.dirty)))]
            # Nothing else has a row, and PostgreSQL would refuse all of them for a NUL in one.
            ids = [each for each in dirty if USER_ID.fullmatch(each)]
            if not dirty:
                changed = self.records.changed
                try:
                    await asyncio.wait_for(changed.wait(), _AGAIN_S)
                except TimeoutError:  # what is in the outbox leaves it, or dies, without a word to anybody
                    self.records.dirty.update(list(self.records.unpublished)[:_BATCH])
                continue
            try:
                await self._read(engine, ids)
                self.records.set_problem("PostgreSQL", None)
            except (SQLAlchemyError, OSError, ApplicationError) as error:
                self.records.dirty.update(ids)
                self.records.set_problem("PostgreSQL", f"cannot be read ({type(error).__name__})")
                await asyncio.sleep(_AGAIN_S)

    async def _read(self, engine: AsyncEngine, ids: list[str]) -> None:
        rows, waiting = await rows_of(engine, ids)
        unpublished: dict[str, list[Event]] = {}
        for row in waiting:
            unpublished.setdefault(row["key"], []).append(_unpublished(row))
        for user_id in ids:
            self.records.add_row(user_id, rows.get(user_id), unpublished.get(user_id, []))

    async def _follow(self, open_tail: OpenTopicTail, topic: str) -> NoReturn:
        while True:
            try:
                async with open_tail(from_beginning=True) as tail:
                    await _skip_to_the_last(tail)
                    self.records.set_problem(topic, None)
                    while True:
                        if event := published(await tail.next()):
                            self.records.add_event(event)
            except (ApplicationError, KafkaError, OSError) as error:
                self.records.set_problem(topic, str(error) or type(error).__name__)
            await asyncio.sleep(_AGAIN_S)

    async def _read_positions(self, kafka: KafkaSettings) -> NoReturn:
        while True:
            if self.records.watchers:  # a connection a second, for nobody
                try:
                    self.records.set_positions(await _positions(kafka))
                    self.records.set_problem("Consumer groups", None)
                except (KafkaError, OSError) as error:
                    self.records.set_problem("Consumer groups", str(error) or type(error).__name__)
            await asyncio.sleep(_POSITIONS_S)


async def _positions(kafka: KafkaSettings) -> dict[str, dict[int, int]]:
    """Return of each consumer group of the topic the offset that it reads next, by partition."""
    groups = {}
    addresses = [str(address) for address in kafka.addresses]
    admin = AIOKafkaAdminClient(
        bootstrap_servers=addresses, **client_options(KafkaConnection.security(kafka.connection))
    )
    try:
        await admin.start()
        for group, *_ in await admin.list_consumer_groups():
            offsets = await admin.list_consumer_group_offsets(group)
            of_topic = {
                partition.partition: found.offset
                for partition, found in offsets.items()
                if partition.topic == kafka.kafka_user_events_topic
            }
            if of_topic:
                groups[group] = of_topic
    finally:
        await admin.close()
    return groups


async def _skip_to_the_last(tail: Any) -> None:
    """Leave out what would be forgotten at once, in a topic of millions."""
    consumer, partitions = tail.subscriber.consumer, tail.subscriber.partitions
    assert consumer  # noqa: S101  # it was started
    beginnings, ends = await consumer.beginning_offsets(partitions), await consumer.end_offsets(partitions)
    for partition in partitions:
        consumer.seek(partition, max(beginnings[partition], ends[partition] - MOST))


def published(record: Record) -> Event | None:
    """Return the event of a record; `None` where it is not one of ours."""
    headers, data = record.headers, payload_of(record.value or b"")
    if not isinstance(data, dict) or not {"ce_id", "ce_type"} <= headers.keys():
        return None
    of_session = ".session." in headers["ce_type"]
    about = data.get("session" if of_session else "user")
    user_id = about.get("user_id" if of_session else "id") if isinstance(about, dict) else None
    sequence = headers.get("ce_sequence", "")
    if not isinstance(user_id, str) or not USER_ID.fullmatch(user_id) or not _SEQUENCE.fullmatch(sequence):
        return None
    return Event(
        id=headers["ce_id"],
        type=headers["ce_type"],
        user_id=user_id,
        version=int(sequence),
        time=headers.get("ce_time", ""),
        data=data,
        trace_id=_trace_id(headers.get("traceparent")),
        state="published",
        partition=record.partition,
        offset=record.offset,
        size=len(record.value or b""),
    )


def _unpublished(row: Mapping[str, Any]) -> Event:
    event_id: UUID = row["event_id"]
    return Event(
        id=str(event_id),
        type=row["type"],
        user_id=row["key"],
        version=row["version"],
        time=row["occurred_at"].isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        data=payload_of(row["payload"] or b"{}") or {},
        trace_id=_trace_id(row["traceparent"]),
        state="dead" if "error" in row else "waiting",
        error=row.get("error"),
    )


def _trace_id(traceparent: str | None) -> str:
    parts = (traceparent or "").split("-")
    return parts[1] if len(parts) >= 2 else ""  # noqa: PLR2004
