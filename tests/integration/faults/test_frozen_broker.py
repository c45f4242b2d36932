"""Kafka stands still: its connections stay open and nobody answers. An outage, told once, with its end."""

import asyncio
import itertools
import time
from contextlib import contextmanager

import pytest

from adapters.kafka import publisher as publisher_module
from adapters.kafka import state_publisher as state_publisher_module
from adapters.kafka.broker import REQUEST_S
from adapters.kafka.state_publisher import KafkaStatePublisher
from application.errors import BrokerUnavailableError
from application.relay.loop import LEAVE_S
from application.relay.state_topic import FencedError
from devkit.servers.kafka import known_brokers
from integration.conftest import create_topic
from integration.kafka.test_publisher_contract import pending
from support import processes, servers
from support.drill import get
from support.ledger import faults, read_topic_until
from support.outages import outages
from support.processes import Process
from support.publishing import publisher_to

pytestmark = pytest.mark.faults

SHORT_S = REQUEST_S / 2
"""Less than one request may take, by what a busy broker needs to go on; the state topic's are not all repeated."""

LONG_S = 24
"""Longer than a batch may take (15 s), and a look at the cause (3 s)."""


@contextmanager
def frozen(kafka):
    kafka.freeze()
    try:
        yield
    finally:
        kafka.thaw()


@pytest.fixture(scope="module")
def kafka():
    with servers.kafka() as running:
        yield running


@pytest.fixture
async def topic(kafka, request):
    name = f"users-{abs(hash(request.node.name))}"
    async with asyncio.timeout(60):
        while not known_brokers(int(kafka.address.rpartition(":")[2])):  # it was frozen, and is let in again
            await asyncio.sleep(0.1)
    await create_topic(kafka.address, name, partitions=3)
    await create_topic(kafka.address, f"{name}-state", partitions=3)
    return name


def unhandled(relay: Process) -> list[dict[str, object]]:
    """Return what asyncio or Python complained of."""
    assert "Traceback" not in relay.text()
    return [line for line in relay.events() if line["event"] == "unhandled_error" or "asyncio" in str(line)]


@pytest.mark.parametrize("fed", ["events", "events and state"])
async def test_a_long_freeze_is_one_outage_and_a_short_one_is_none(database_url, users, kafka, topic, tmp_path, fed):
    state_topic = f"{topic}-state" if fed == "events and state" else ""
    port = servers.free_port()
    arguments = ("--metrics-port", str(port))
    with processes.relay(tmp_path, database_url, kafka.address, topic, *arguments, state_topic=state_topic) as relay:
        await asyncio.to_thread(relay.wait_for, "lanes_held")
        async with users.changing(pause=0.04):  # for most of a minute
            await asyncio.sleep(1)
            with frozen(kafka):
                await asyncio.sleep(SHORT_S)
            await asyncio.sleep(2)
            assert relay.events("events_waiting") == []
            with frozen(kafka):
                await asyncio.gather(
                    asyncio.sleep(LONG_S), asyncio.to_thread(relay.wait_for, "events_waiting", within=3 * LONG_S)
                )
                health = get(f"http://127.0.0.1:{port}/health")
                metrics = get(f"http://127.0.0.1:{port}/metrics")[1]
            await asyncio.to_thread(relay.wait_for, "outage_over")
        before_the_end = dict(users.newest)
        got = await read_topic_until(kafka.address, topic, before_the_end)
        long, *later = outages(relay)[0]
        with frozen(kafka):  # and an end in the midst of it
            await users.changes(3)
            await asyncio.sleep(1)
            began = time.monotonic()
            code = await asyncio.to_thread(relay.stop, LEAVE_S + 8)
            took = time.monotonic() - began

        reason = f"Kafka: no answer in time ({kafka.address})"
        assert faults(got, before_the_end) == []
        assert long[0] == reason
        # A broker that was frozen for so long has lost its partitions, perhaps a moment after it took what waited; it
        # may not be ready, or say so, before it has them back. The freeze itself is told once.
        causes = [*long[1:], *itertools.chain(*later)]
        assert [text for text in causes if not text.endswith(("no leader)", "(NodeNotReadyError)"))] == []
        assert health[0] == 503
        assert reason in health[1]
        assert 'outbox_failures_total{cause="Kafka: no answer in time"}' in metrics
        assert (code, took < LEAVE_S + 5) == (0, True)
        assert unhandled(relay) == []


@pytest.fixture
async def complaints(caplog):
    """What asyncio says of tasks and futures that nobody asked for, in this process."""
    found: list[dict[str, object]] = []
    loop = asyncio.get_running_loop()
    before = loop.get_exception_handler()
    loop.set_exception_handler(lambda _, context: found.append(context))
    yield found
    loop.set_exception_handler(before)


@pytest.mark.parametrize("pause", [0.0, 0.3, 1.2])
async def test_a_publisher_that_is_closed_at_any_moment_of_a_freeze_leaves_nothing_behind(
    kafka, topic, monkeypatch, complaints, pause
):
    """With batches that wait behind others, and with requests under way."""
    monkeypatch.setattr(publisher_module, "DEADLINE_S", 3.0)
    publisher = publisher_to(kafka.address, topic)
    batch = [pending(f"user_{user}", version, size=200_000) for version in (1, 2) for user in range(12)]
    assert len((await publisher.publish(batch)).acknowledged) == len(batch)
    with frozen(kafka):
        publishing = asyncio.create_task(publisher.publish(batch))
        await asyncio.sleep(pause)
        publishing.cancel()
        await asyncio.gather(publishing, return_exceptions=True)
        began = time.monotonic()
        await publisher.aclose()
        took = time.monotonic() - began
        told = (await publisher.publish(batch)).outage
    await publisher.aclose()
    await collected()

    assert took < 4
    assert str(told) == f"Kafka: no answer in time ({kafka.address})"
    assert complaints == []


async def test_a_transaction_that_a_freeze_cuts_off_leaves_nothing_behind(kafka, topic, monkeypatch, complaints):
    monkeypatch.setattr(state_publisher_module, "DEADLINE_S", 3.0)
    publisher = KafkaStatePublisher([kafka.address], f"{topic}-state")
    batch = [pending(f"user_{user}", 1, size=200_000) for user in range(12)]
    writer = await publisher.writer()
    await publisher.publish(writer, batch)
    with frozen(kafka):
        outage = (await publisher.publish(writer, batch)).outage
        with pytest.raises(FencedError):
            await publisher.publish(writer, batch)
        with pytest.raises(BrokerUnavailableError, match="no answer in time"):
            await publisher.writer()
    await publisher.aclose()
    await collected()

    assert str(outage) == f"Kafka: no answer in time ({kafka.address})"
    assert complaints == []


async def collected() -> None:
    """Let what nobody holds any more be found, as it is one day."""
    import gc  # noqa: PLC0415

    for _ in range(3):
        gc.collect()
        await asyncio.sleep(0.1)
