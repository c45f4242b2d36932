"""What an outside consumer got, and whether it is what the table says."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

import msgspec
from aiokafka import AIOKafkaConsumer
from attrs import field, frozen


@frozen(kw_only=True)
class Got:
    """One record of the topic."""

    key: str
    version: int
    event_id: UUID
    type: str
    traceparent: str | None
    data: dict[str, Any] = field(repr=False)


async def read_records(bootstrap_servers: str, topic: str, *, isolation: str = "read_uncommitted") -> list[Any]:
    """Return all that is in the topic by now, as aiokafka has it; each partition's records in their order."""
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=bootstrap_servers, auto_offset_reset="earliest", isolation_level=isolation
    )
    await consumer.start()
    try:
        partitions = sorted(consumer.assignment())
        ends = await consumer.end_offsets(partitions)
        await consumer.seek_to_beginning(*partitions)
        records: list[Any] = []
        while any([await consumer.position(partition) < ends[partition] for partition in partitions]):
            for batch in (await consumer.getmany(timeout_ms=500)).values():
                records += batch
    finally:
        await consumer.stop()
    return records


async def read_topic(bootstrap_servers: str, topic: str) -> list[Got]:
    """Return all that is in the topic by now; each partition's records in their order."""
    return [_got(record) for record in await read_records(bootstrap_servers, topic)]


async def read_topic_until(
    bootstrap_servers: str, topic: str, keys: dict[str, int], *, within: float = 60
) -> list[Got]:
    """Return what is in the topic when the last version of each key is there, or when time is up."""
    deadline = asyncio.get_running_loop().time() + within
    while True:
        got = await read_topic(bootstrap_servers, topic)
        newest = {key: versions[-1] for key, versions in first_seen(got).items()}
        if all(newest.get(key, 0) >= version for key, version in keys.items()):
            return got
        if asyncio.get_running_loop().time() > deadline:
            return got
        await asyncio.sleep(0.3)


def first_seen(records: Iterable[Got]) -> dict[str, list[int]]:
    """Return, by key, what a consumer works on that drops every `sequence` that is not above the last it saw."""
    versions: dict[str, list[int]] = {}
    for record in records:
        seen = versions.setdefault(record.key, [])
        if not seen or record.version > seen[-1]:
            seen.append(record.version)
    return versions


def faults(records: Sequence[Got], newest: dict[str, int]) -> list[str]:
    """Say what is wrong with the topic, given each user's newest version; nothing when nothing is.

    Right is: each version of each user is first seen in its turn, and a repeated one is the same event.
    """
    found = []
    seen = first_seen(records)
    for key, version in newest.items():
        versions = seen.get(key, [])
        if versions != list(range(1, version + 1)):
            missing = sorted(set(range(1, version + 1)) - set(versions))
            order = [record.version for record in records if record.key == key]
            found.append(f"{key}: consumer missed {missing} of {version}; the topic has {order}")
    found += [f"{key}: not in the table" for key in seen if key not in newest]
    contents: dict[tuple[str, int], Got] = {}
    for record in records:
        before = contents.setdefault((record.key, record.version), record)
        if before != record:
            found.append(f"{record.key}: version {record.version} came with two contents")
    return found


def _got(record: Any) -> Got:
    headers = {name: value.decode() for name, value in record.headers}
    return Got(
        key=record.key.decode(),
        version=int(headers["ce_sequence"]),
        event_id=UUID(headers["ce_id"]),
        type=headers["ce_type"],
        traceparent=headers.get("traceparent"),
        data=msgspec.json.decode(record.value),
    )
