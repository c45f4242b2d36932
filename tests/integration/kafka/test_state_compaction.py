"""What a deleted user once was leaves the brokers' disks, also from a partition that nobody writes to any more."""

import asyncio

from adapters.kafka import state_publisher as state_publisher_module
from adapters.kafka.state_publisher import KafkaStatePublisher
from devkit.servers.kafka import start_kafka
from integration.conftest import create_topic
from integration.kafka.test_state_publisher_contract import pending
from support.state_ledger import last_of_each, read_states

QUICK = {"log.cleaner.backoff.ms": "200", "log.segment.delete.delay.ms": "100"}
PERSONAL = b"ada@example.org"


async def test_a_deleted_user_leaves_the_disk_by_compaction_without_any_further_change(tmp_path, monkeypatch):
    monkeypatch.setattr(state_publisher_module, "PULSE_S", 0.5)
    kafka = await asyncio.to_thread(start_kafka, tmp_path, settings=QUICK)
    settings = {"cleanup_policy": "compact", "max_compaction_lag_ms": "1500", "file_delete_delay_ms": "100"}
    await create_topic(kafka.bootstrap_servers, "states", partitions=1, **settings)
    publisher = KafkaStatePublisher([kafka.bootstrap_servers], "states")
    try:
        await publisher.publish(await publisher.writer(), [pending("user_a", versions=2)])
        before = on_disk(tmp_path)
        await publisher.publish(await publisher.writer(), [pending("user_a", versions=2, deleted=True)])
        async with asyncio.timeout(60):
            while on_disk(tmp_path):
                await publisher.writer()
                await asyncio.sleep(0.2)
        left = last_of_each(await read_states(kafka.bootstrap_servers, "states"))
    finally:
        await publisher.aclose()
        await asyncio.to_thread(kafka.stop)

    assert before > 0
    assert (left["user_a"].version, left["user_a"].data) == (3, None)


def on_disk(folder) -> int:
    """Count how often the user's email stands in the files of the topic."""
    return sum(file.read_bytes().count(PERSONAL) for file in folder.rglob("states-0/*.log*"))
