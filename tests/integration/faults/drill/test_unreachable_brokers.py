"""Brokers that send their clients to an address of no use, and brokers that are dead while others live."""

import asyncio
import subprocess
import time

import pytest

from integration.conftest import create_topic
from support import commands
from support.advertising import NAME_UNKNOWN, REFUSED, Advertising, kafka_advertising, silent_listener
from support.drill import Service, until

pytestmark = pytest.mark.faults


@pytest.fixture(scope="module")
def silent():
    with silent_listener() as address:
        yield address


@pytest.fixture(scope="module")
def kafka(silent):
    with kafka_advertising(NAME_UNKNOWN, REFUSED, silent) as running:
        yield running


def run(service: Service, *arguments: str, **changes: str) -> "subprocess.CompletedProcess[str]":
    return commands.run(*arguments, env={**service.variables, **changes}, cwd=service.folder)


@pytest.mark.parametrize("fault", ["name", "refused", "silent"])
async def test_an_advertised_address_that_cannot_be_reached_is_named_with_its_cause(
    start, database_url, kafka: Advertising, silent, fault, topic
):
    advertised, cause = {
        "name": (NAME_UNKNOWN, "name not resolved"),
        "refused": (REFUSED, "connection refused"),
        "silent": (silent, "no answer in time"),
    }[fault]
    await create_topic(kafka.good, topic)
    service = start(database_url, kafka.bad[advertised], topic)
    assert await asyncio.to_thread(service.webhook) == 200
    await until(lambda: service.relay_health()[0] == 503, within=60)
    code, found = service.doctor()
    checked, tailed = run(service, "topic", "check"), run(service, "events", "tail", "--limit", "1")

    reason = f"Kafka: advertised address out of reach ({advertised}: {cause})"
    assert service.relay_health()[1] == {"events": reason}
    assert [line["cause"] for line in service.relay.events("events_waiting")] == [reason]
    assert 'outbox_failures_total{cause="Kafka: advertised address out of reach"}' in service.metrics()
    assert (code, found["kafka"]["says"]) == (1, reason)
    assert "advertised.listeners" in found["kafka"]["advice"]
    assert (checked.returncode, checked.stdout, checked.stderr.count("\n")) == (69, "", 1)
    assert checked.stderr.startswith(f"{reason}; set advertised.listeners ")
    assert tailed.stderr.startswith(reason)
    assert service.relay.events("unhandled_error") == []
    assert "Traceback" not in service.relay.text()


async def test_servers_that_are_dead_cost_the_others_nothing(start, database_url, kafka: Advertising, silent, topic):
    await create_topic(kafka.good, topic)
    service = start(database_url, f"{silent},{REFUSED},{NAME_UNKNOWN},{silent},{kafka.good}", topic)
    assert await asyncio.to_thread(service.webhook) == 200
    await until(lambda: "outbox_published_total 1.0" in service.metrics())
    began = time.monotonic()
    run(service, "topic", "check", "--partitions", "1", KAFKA_BOOTSTRAP_SERVERS=kafka.good)
    alone = time.monotonic() - began
    checked = run(service, "topic", "check", "--partitions", "1")
    took = time.monotonic() - began - alone
    _, found = service.doctor()

    assert service.relay.events("events_waiting") == []
    assert "out of reach" not in checked.stdout + checked.stderr
    assert took < 3 * alone + 2  # one silent server would cost 3 s more, and there are two
    assert found["kafka"]["severity"] == "ok"


async def test_a_topic_that_is_deleted_and_made_anew_with_fewer_partitions_is_told_by_its_cause(
    start, database_url, kafka: Advertising, topic
):
    await create_topic(kafka.good, topic, partitions=6)
    service = start(database_url, kafka.good, topic)
    assert await asyncio.to_thread(service.webhook) == 200
    await until(lambda: "outbox_published_total 1.0" in service.metrics())
    await delete_topic(kafka.good, topic)
    for number in range(6):
        assert await asyncio.to_thread(service.webhook, user=f"user_{number}") == 200
    await until(lambda: service.relay_health()[1] == {"events": f"Kafka: topic missing ({topic})"}, within=60)
    await create_topic(kafka.good, topic, partitions=2)
    await until(lambda: "outbox_published_total 7.0" in service.metrics(), within=60)

    assert [line["cause"] for line in service.relay.events("events_waiting")] == [f"Kafka: topic missing ({topic})"]
    assert service.relay.events("unhandled_error") == []


async def test_a_clock_that_a_broker_does_not_accept_is_told(start, database_url, kafka: Advertising, topic):
    """Every record is older than this topic takes, as with a relay whose clock is far behind."""
    await create_topic(kafka.good, topic, message_timestamp_before_max_ms="0")
    service = start(database_url, kafka.good, topic)
    assert await asyncio.to_thread(service.webhook) == 200
    await until(lambda: service.relay_health()[0] == 503, within=60)

    assert service.relay_health()[1] == {"events": "Kafka: clock differs (InvalidTimestampError)"}


async def delete_topic(address: str, name: str) -> None:
    from aiokafka.admin import AIOKafkaAdminClient  # noqa: PLC0415

    admin = AIOKafkaAdminClient(bootstrap_servers=address)
    await admin.start()
    await admin.delete_topics([name])
    while name in await admin.list_topics():  # it is answered before it is done
        await asyncio.sleep(0.05)
    await admin.close()
