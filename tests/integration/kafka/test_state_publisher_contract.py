"""What `StatePublisher` promises a relay, held against the fake and against a real broker."""

import asyncio
import itertools
from collections.abc import AsyncIterator

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import for_code
from aiokafka.protocol.produce import ProduceRequest

from adapters.kafka import state_publisher as state_publisher_module
from adapters.kafka.cloudevents import encode
from adapters.kafka.state_publisher import KafkaStatePublisher
from application.errors import BrokerUnavailableError
from application.relay.lanes import lane_of
from application.relay.messages import Pending
from application.relay.ports import StatePublisher
from application.relay.state_topic import FencedError
from domain.delete_user import delete_user
from domain.events import UserEvent
from domain.sync_user import sync_user
from domain.user import Known, UserId
from integration.conftest import create_topic
from support import servers
from support.state_ledger import Record, read_states
from support.state_memory import MemoryStatePublisher, MemoryStateTopic
from support.users import deletion, snapshot

_ids = itertools.count(1)


def pending(user: str, *, versions: int = 1, size: int = 0, deleted: bool = False) -> Pending:
    """The message of the last of so many versions."""
    known: Known = None
    events: tuple[UserEvent, ...] = ()
    for version in range(1, versions + 1):
        news = snapshot(UserId(user), at=version, public_metadata={"n": version, "pad": "x" * size})
        decision = sync_user(known, news)
        known, events = decision.user, decision.events
    if deleted:
        events = delete_user(known, deletion(UserId(user))).events
    return Pending(id=next(_ids), lane=lane_of(user), stored_at=0, message=encode(events[0]))


def told(records: list[Record]) -> list[tuple[str, int]]:
    return sorted((record.key, record.version) for record in records)


@pytest.fixture
async def make(kafka_address: str, topic: str) -> AsyncIterator[object]:
    """Another relay's publisher on the same topic, each time it is called."""
    made: list[KafkaStatePublisher] = []

    def one(to: str = topic) -> KafkaStatePublisher:
        made.append(KafkaStatePublisher([kafka_address], to))
        return made[-1]

    yield one
    for publisher in made:
        await publisher.aclose()


@pytest.fixture(params=["memory", "kafka"])
def pair(request: pytest.FixtureRequest, make) -> tuple[StatePublisher, StatePublisher]:
    if request.param == "memory":
        topic = MemoryStateTopic()
        return MemoryStatePublisher(topic), MemoryStatePublisher(topic)
    return make(), make()


async def test_every_state_is_acknowledged_and_the_writer_stays(pair):
    publisher, _ = pair
    writer = await publisher.writer()
    batch = [pending(f"user_{number}") for number in range(20)]

    first = await publisher.publish(writer, batch)
    nothing = await publisher.publish(writer, [])
    second = await publisher.publish(writer, [pending("user_0", versions=2)])

    assert (list(first.acknowledged), list(first.refused), first.outage) == (batch, [], None)
    assert (list(nothing.acknowledged), nothing.outage) == ([], None)
    assert len(second.acknowledged) == 1
    assert await publisher.writer() == writer


async def test_a_barred_writer_writes_no_more_and_its_relay_gets_a_new_one(pair):
    publisher, other = pair
    writer = await publisher.writer()
    await publisher.publish(writer, [pending("user_a")])

    await other.fence([writer])
    with pytest.raises(FencedError):
        await publisher.publish(writer, [pending("user_a", versions=2)])
    with pytest.raises(FencedError):
        await publisher.publish(writer, [pending("user_a", versions=2)])
    again = await publisher.writer()

    assert again != writer
    assert len((await publisher.publish(again, [pending("user_a", versions=2)])).acknowledged) == 1


async def test_a_writer_that_the_coordinator_has_forgotten_counts_as_barred(make):
    """It says so when partitions are added, which aiokafka does in the background and calls an unexpected error."""
    publisher = make()
    writer = await publisher.writer()
    known = publisher._broker.producer._txn_manager
    known._pid_and_epoch = known._pid_and_epoch._replace(pid=known.producer_id + 1_000_000)

    with pytest.raises(FencedError):
        await publisher.publish(writer, [pending("user_a")])
    again = await publisher.writer()

    assert again != writer
    assert len((await publisher.publish(again, [pending("user_a")])).acknowledged) == 1


async def test_barring_a_writer_leaves_others_alone_and_can_be_repeated(pair):
    publisher, other = pair
    mine, theirs = await publisher.writer(), await other.writer()

    await publisher.fence([theirs])
    await publisher.fence([theirs, "auth-service-state-of-somebody-long-gone"])

    assert len((await publisher.publish(mine, [pending("user_a")])).acknowledged) == 1


async def test_two_relays_can_bar_one_writer_at_once(pair):
    publisher, other = pair
    zombie = "auth-service-state-of-a-dead-relay"

    await asyncio.gather(*(each.fence([zombie]) for each in (publisher, other) * 3))

    assert len((await publisher.publish(await publisher.writer(), [pending("user_a")])).acknowledged) == 1


async def test_what_was_claimed_for_another_writer_is_not_written(pair):
    publisher, _ = pair
    await publisher.writer()

    with pytest.raises(FencedError):
        await publisher.publish("an older one", [pending("user_a")])


async def test_the_record_on_the_wire_is_the_user_alone_and_a_deletion_is_a_tombstone(make, kafka_address, topic):
    publisher = make()
    living, gone = pending("user_a", versions=3), pending("user_b", versions=2, deleted=True)
    await publisher.publish(await publisher.writer(), [living, gone])

    records = {record.key: record for record in await read_states(kafka_address, topic, committed=True)}

    assert list(records["user_a"].data) == ["user"]
    assert records["user_a"].data["user"]["version"] == 3
    assert records["user_b"].data is None
    assert records["user_a"].headers == {
        "ce_specversion": "1.0",
        "ce_id": str(living.message.event_id),
        "ce_source": "/auth-service",
        "ce_type": "anomalyze.user.state.v1",
        "ce_subject": "user_a",
        "ce_time": "1970-01-01T00:00:00.003Z",
        "ce_partitionkey": "user_a",
        "ce_sequence": "00000000000000000003",
        "content-type": "application/json",
    }
    assert records["user_b"].headers["ce_sequence"] == "00000000000000000003"
    assert "content-type" not in records["user_b"].headers


async def test_a_request_that_arrives_after_its_writer_was_barred_is_refused(make, kafka_address, topic, monkeypatch):
    """It may have waited in a buffer of a broker or of the network for as long as it likes."""
    zombie, successor = make(), make()
    writer = await zombie.writer()
    late: list[ProduceRequest] = []
    send = zombie._broker.producer.client.send

    async def hold_up(node, request, **how):
        if isinstance(request, ProduceRequest):
            late.append(request)
            await asyncio.Event().wait()
        return await send(node, request, **how)

    zombie._broker.producer.client.send = hold_up
    with monkeypatch.context() as patience:
        patience.setattr(state_publisher_module, "DEADLINE_S", 3.0)
        held = await zombie.publish(writer, [pending("user_a")])
    await successor.fence([writer])
    await successor.publish(await successor.writer(), [pending("user_a", versions=2)])

    client = AIOKafkaClient(bootstrap_servers=kafka_address)
    await client.bootstrap()
    await client.force_metadata_update()
    answer = await client.send(client.get_random_node(), late[0])
    await client.close()
    [(_, [(_, code, *_)])] = answer.topics
    records = await read_states(kafka_address, topic)

    assert str(held.outage) == f"Kafka: no answer in time (no acknowledgement of {topic})"
    assert for_code(code).__name__ in {"InvalidProducerEpoch", "InvalidTxnState"}
    assert told(records) == [("user_a", 2)]


async def test_what_a_barred_writer_had_begun_is_rolled_back_and_stands_before_what_its_successor_writes(
    make, kafka_address, topic
):
    zombie, successor = make(), make()
    writer = await zombie.writer()
    client = zombie._broker.producer
    await client.begin_transaction()
    await client.send_and_wait(topic, b'{"user": {}}', key=b"user_a", headers=[("ce_sequence", b"1")])

    await successor.fence([writer])
    await successor.publish(await successor.writer(), [pending("user_a", versions=2)])

    assert [record.version for record in await read_states(kafka_address, topic)] == [1, 2]
    assert [record.version for record in await read_states(kafka_address, topic, committed=True)] == [2]


async def rounds(publisher: StatePublisher, batch: list[Pending]) -> tuple[list[Pending], list[Pending], list[str]]:
    """Publish until nothing is left, as a relay does; return what arrived, what was refused, and the outages."""
    arrived: list[Pending] = []
    refused: list[Pending] = []
    outages: list[str] = []
    for _ in range(50):
        left = [item for item in batch if item not in arrived and item not in refused]
        if not left:
            break
        done = await publisher.publish(await publisher.writer(), left)
        arrived += done.acknowledged
        refused += [refusal.pending for refusal in done.refused]
        outages += [str(done.outage)] if done.outage else []
    return arrived, refused, outages


async def test_states_that_the_topic_cannot_take_are_refused_alone(make, kafka_address, topic):
    small = f"{topic}-small"
    await create_topic(kafka_address, small, partitions=2, max_message_bytes="20000")
    publisher = make(small)
    large = [pending(f"user_{name}", size=50_000) for name in "lm"]
    batch = [pending(f"user_{number}") for number in range(10)] + large + [pending("user_x", deleted=True)]

    arrived, refused, outages = await rounds(publisher, batch)
    records = await read_states(kafka_address, small, committed=True)

    assert sorted(item.message.key for item in refused) == ["user_l", "user_m"]
    assert len(arrived) == 11
    assert outages == []
    assert {record.key for record in records} == {item.message.key for item in arrived}


async def test_states_that_are_too_large_only_together_all_arrive(make, kafka_address, topic):
    small = f"{topic}-small"
    await create_topic(kafka_address, small, partitions=1, max_message_bytes="20000")
    batch = [pending(f"user_{number}", size=8_000) for number in range(6)]

    arrived, refused, outages = await rounds(make(small), batch)

    assert (len(arrived), refused, outages) == (6, [], [])
    assert {record.key for record in await read_states(kafka_address, small)} == {f"user_{n}" for n in range(6)}


async def test_more_than_one_request_holds_arrives_or_is_refused_in_its_parts(make, kafka_address, topic):
    small = f"{topic}-small"
    await create_topic(kafka_address, small, partitions=1, max_message_bytes="100000")
    batch = [pending(f"user_{number}", size=8_000) for number in range(70)]

    arrived, refused, outages = await rounds(make(small), batch)

    assert (len(arrived), refused, outages) == (70, [], [])


async def test_a_missing_topic_is_told_and_never_made(make, kafka_address, topic):
    missing = f"{topic}-missing"

    with pytest.raises(BrokerUnavailableError, match="topic missing"):
        await make(missing).writer()

    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_address)
    await admin.start()
    assert missing not in await admin.list_topics()
    await admin.close()


async def test_brokers_that_are_not_there_are_told_in_bounded_time():
    publisher = KafkaStatePublisher(["127.0.0.1:1"], "states")

    with pytest.raises(BrokerUnavailableError, match="out of reach"):
        await publisher.writer()
    with pytest.raises(BrokerUnavailableError, match="out of reach"):
        await publisher.fence(["somebody"])


async def test_a_broker_that_is_killed_and_comes_back_is_an_outage_and_leaves_no_task_behind(monkeypatch):
    with servers.kafka() as server:
        await create_topic(server.address, "states", partitions=3)
        publisher = KafkaStatePublisher([server.address], "states")
        before = asyncio.all_tasks()
        writers = [await publisher.writer()]
        assert len((await publisher.publish(writers[0], [pending("user_a")])).acknowledged) == 1

        monkeypatch.setattr(state_publisher_module, "DEADLINE_S", 3.0)
        await asyncio.to_thread(server.kill)
        down = await publisher.publish(writers[0], [pending("user_a", versions=2)])
        with pytest.raises(BrokerUnavailableError):
            await publisher.writer()
        await asyncio.to_thread(server.start)
        monkeypatch.setattr(state_publisher_module, "DEADLINE_S", 15.0)
        async with asyncio.timeout(60):
            while True:
                try:
                    writer = await publisher.writer()
                    await publisher.fence({*writers} - {writer})
                    writers.append(writer)
                    up = await publisher.publish(writer, [pending("user_a", versions=2)])
                except BrokerUnavailableError:
                    await asyncio.sleep(0.2)
                    continue
                if up.acknowledged:
                    break
        await publisher.aclose()
        async with asyncio.timeout(60):  # the last markers are written a moment after the commit
            while not (records := await read_states(server.address, "states", committed=True)):
                await asyncio.sleep(0.2)
        left = {task for task in asyncio.all_tasks() - before if not task.done()}

    assert down.outage
    assert [record.version for record in records] == [1, 2]
    assert left == set()
