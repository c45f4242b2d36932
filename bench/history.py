"""How long one user's history takes to find in a topic of a million events, and whether it is right."""

import asyncio
import os
import random
import resource
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from adapters.kafka.partition_batches import partition_of
from adapters.kafka.topic_search import KafkaTopicSearch
from bench.figures import Figure
from bench.stage import PARTITIONS, ROOT, Stage

_VERSIONS = 10
_BATCH_BYTES = 512 * 1024
_PAD = b"x" * 600
_SAME = [
    ("ce_specversion", b"1.0"),
    ("ce_id", b"00000000-0000-0000-0000-000000000000"),
    ("ce_source", b"/auth-service"),
    ("ce_type", b"anomalyze.user.updated.v1"),
    ("ce_time", b"2026-11-29T10:00:00.000Z"),
    ("content-type", b"application/json"),
    ("traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
]
_ASKED = 100


def measure(stage: Stage, *, quick: bool) -> Iterator[Figure]:
    """Measure seconds of the whole command, as a person waits for it; and check the records of 100 random users."""
    users, runs = (2_000, 3) if quick else (100_000, 5)
    topic, url = stage.topic(f"bench-history-{users}"), stage.database("bench_history")
    ids = [f"user_{number:027}" for number in range(users)]
    asyncio.run(_fill(stage, topic, ids))
    asked = random.Random(1).sample(ids, _ASKED)  # noqa: S311  # no secret
    wrong = asyncio.run(_wrong(stage, topic, asked))
    events = f"{users * _VERSIONS:,} events"
    reference = f"users history, {events}"
    search = [asyncio.run(_search(stage, topic, user)) for user in asked[:runs]]
    yield Figure(what="the search in the user's partition alone", unit="s", runs=search)
    consumer = [asyncio.run(_consume(stage, topic, user)) for user in asked[: min(runs, 3)]]
    yield Figure(
        what="the same by a consumer, record by record",
        unit="s",
        runs=consumer,
        against="the search in the user's partition alone",
    )
    for what, words in {
        reference: ["history"],
        f"users history --all-partitions, {events}": ["history", "--all-partitions"],
        f"users erased, {events}": ["erased"],
    }.items():
        used = _cpu_s()
        seconds = [_command(stage, url, topic, user, *words) for user in asked[:runs]]
        note = f"CPU of the command {(_cpu_s() - used) / runs:.2f} s"
        if what == reference:
            note += f"; right for {_ASKED - len(wrong)} of {_ASKED} random users"
        yield Figure(what=what, unit="s", runs=seconds, against=None if what == reference else reference, note=note)


async def _fill(stage: Stage, topic: str, ids: Sequence[str]) -> None:
    """Write every user's first version, then every user's second, and so on, with the headers of our events."""
    producer = AIOKafkaProducer(bootstrap_servers=stage.kafka.bootstrap_servers, max_batch_size=_BATCH_BYTES)
    await producer.start()
    partitions = {user: partition_of(user, range(PARTITIONS)) for user in ids}
    batches = {number: producer.create_batch() for number in range(PARTITIONS)}
    sent = []
    for version in range(1, _VERSIONS + 1):
        for user in ids:
            partition, key = partitions[user], user.encode()
            record = {"key": key, "value": _value(key, version), "headers": _headers(key, version)}
            if not batches[partition].append(timestamp=None, **record):
                sent.append(await producer.send_batch(batches[partition], topic, partition=partition))
                batches[partition] = producer.create_batch()
                batches[partition].append(timestamp=None, **record)
    sent += [await producer.send_batch(batch, topic, partition=number) for number, batch in batches.items()]
    await asyncio.gather(*sent)
    await producer.stop()


def _value(key: bytes, version: int) -> bytes:
    return b'{"user":{"id":"%s","version":%d,"first_name":"%s %d"},"changed":["first_name"]}' % (
        key,
        version,
        _PAD,
        version,
    )


def _headers(key: bytes, version: int) -> list[tuple[str, bytes]]:
    return [*_SAME, ("ce_subject", key), ("ce_partitionkey", key), ("ce_sequence", b"%020d" % version)]


async def _wrong(stage: Stage, topic: str, asked: Sequence[str]) -> list[str]:
    """Return the users of whom anything else was found than was written, in its order."""
    search, wrong = KafkaTopicSearch([stage.kafka.bootstrap_servers]), []
    for user in asked:
        found = (await search.by_key(topic, user, all_partitions=False)).records
        expected = [_value(user.encode(), version) for version in range(1, _VERSIONS + 1)]
        if [record.value for record in found] != expected:
            wrong.append(user)
    return wrong


def _command(stage: Stage, url: str, topic: str, user: str, command: str, *options: str) -> float:
    began = time.perf_counter()
    ended = subprocess.run(
        [sys.executable, "-m", "entrypoints.cli.main", "users", command, user, "--json", *options],
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join(sys.path),
            "DATABASE_URL": url,
            "KAFKA_BOOTSTRAP_SERVERS": stage.kafka.bootstrap_servers,
            "KAFKA_USER_EVENTS_TOPIC": topic,
        },
        cwd=ROOT / "bench",  # no `.env`, and no `dev` that runs
        capture_output=True,
        check=False,
    )
    if ended.returncode:
        raise RuntimeError(ended.stderr.decode())
    return time.perf_counter() - began


def _cpu_s() -> float:
    """Return what children that have ended used."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


async def _search(stage: Stage, topic: str, user: str) -> float:
    began = time.perf_counter()
    await KafkaTopicSearch([stage.kafka.bootstrap_servers]).by_key(topic, user, all_partitions=False)
    return time.perf_counter() - began


async def _consume(stage: Stage, topic: str, user: str) -> float:
    began = time.perf_counter()
    consumer = AIOKafkaConsumer(
        bootstrap_servers=stage.kafka.bootstrap_servers, isolation_level="read_committed", auto_offset_reset="earliest"
    )
    await consumer.start()
    try:
        partition = TopicPartition(topic, partition_of(user, range(PARTITIONS)))
        consumer.assign([partition])
        end = (await consumer.end_offsets([partition]))[partition]
        found = 0
        while await consumer.position(partition) < end:
            for records in (await consumer.getmany(timeout_ms=1000)).values():
                found += sum(record.key == user.encode() for record in records)
        if found != _VERSIONS:
            raise RuntimeError(f"{found} of {_VERSIONS} found")
        return time.perf_counter() - began
    finally:
        await consumer.stop()
