"""How a round is divided among topics and partitions, and what follows what; only the brokers are played."""

import asyncio
from collections import defaultdict
from typing import Any

import pytest
from aiokafka.errors import MessageSizeTooLargeError, UnknownTopicOrPartitionError
from aiokafka.partitioner import DefaultPartitioner
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.structs import RecordMetadata, TopicPartition
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from adapters.kafka.broker import Record, RelayBroker
from adapters.kafka.cloudevents import TYPES, encode
from adapters.kafka.partition_batches import SendResults, partition_of, publish_in_order
from adapters.kafka.publisher import KafkaPublisher
from application.relay.messages import OutboxMessage, Pending
from domain.sync_user import sync_user
from domain.user import UserId
from support.users import snapshot


class Brokers:
    """What FastStream's producer asks of aiokafka's, with batches as small as a test wants them."""

    def __init__(self, partitions: int = 1, batch_bytes: int = 10, refused: int | None = None) -> None:
        self.partitions, self.batch_bytes, self.refused = partitions, batch_bytes, refused
        self.sent: dict[tuple[str, int], list[int]] = defaultdict(list)
        """How many records each batch of a partition had."""
        self.under_way: set[tuple[str, int]] = set()

    async def partitions_for(self, topic: str) -> set[int]:
        if topic == "missing":
            raise UnknownTopicOrPartitionError
        return set(range(self.partitions))

    def create_batch(self) -> BatchBuilder:
        return BatchBuilder(self.batch_bytes, 0, is_transactional=False, key_serializer=None, value_serializer=None)

    async def send_batch(self, batch: BatchBuilder, topic: str, *, partition: int) -> "asyncio.Future[Any]":
        target = topic, partition
        assert target not in self.under_way
        self.under_way.add(target)
        self.sent[target].append(batch.record_count())
        arrival = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(self._answer, arrival, target)
        return arrival

    def _answer(self, arrival: "asyncio.Future[Any]", target: tuple[str, int]) -> None:
        self.under_way.remove(target)
        if len(self.sent[target]) == self.refused:
            arrival.set_exception(MessageSizeTooLargeError())
        else:
            topic, partition = target
            arrival.set_result(RecordMetadata(topic, partition, TopicPartition(*target), 0, 0, 0, 0))


def broker(brokers: Brokers) -> RelayBroker:
    made = RelayBroker(["127.0.0.1:1"])
    made.outlet.client = brokers
    return made


def pending(number: int, user: str) -> Pending:
    return Pending(id=number, lane=0, stored_at=0, message=encode(sync_user(None, snapshot(UserId(user))).events[0]))


async def publish(brokers: Brokers, batch: list[tuple[str, Pending]]) -> tuple[SendResults, list[OutboxMessage]]:
    results = SendResults()
    made: list[OutboxMessage] = []

    def record(message: OutboxMessage) -> Record:
        made.append(message)
        return Record(message.key.encode(), message.payload, [])

    await publish_in_order(broker(brokers), batch, record, results)
    return results, made


@given(st.text(min_size=1), st.integers(1, 200))
def test_a_key_is_in_the_partition_that_other_kafka_clients_would_choose(key, count):
    partitions = list(range(count))

    assert partition_of(key, partitions) == DefaultPartitioner()(key.encode(), partitions, partitions)


@given(
    st.lists(st.tuples(st.sampled_from(["a", "b"]), st.sampled_from(["user_a", "user_b", "user_c"])), max_size=30),
    st.integers(1, 3),
)
async def test_each_message_is_sent_once_in_its_topic_and_a_partition_has_one_batch_under_way(sent, partitions):
    brokers = Brokers(partitions, batch_bytes=1500)
    batch = [(topic, pending(number, user)) for number, (topic, user) in enumerate(sent)]

    results, made = await publish(brokers, batch)

    assert results.arrived == set(range(len(batch)))
    assert {message.key for message in made} == {user for _, user in sent}
    for topic in ("a", "b"):
        of_topic = [user for to, user in sent if to == topic]
        assert sum(sum(counts) for (to, _), counts in brokers.sent.items() if to == topic) == len(of_topic)


async def test_a_message_larger_than_a_batch_has_one_to_itself():
    brokers = Brokers()

    await publish(brokers, [("a", pending(number, "user_a")) for number in range(3)])

    assert brokers.sent == {("a", 0): [1, 1, 1]}


async def test_nothing_is_sent_behind_a_batch_that_was_refused_and_other_partitions_go_on():
    brokers = Brokers(refused=2)
    batch = [("a", pending(number, "user_a")) for number in range(4)] + [("b", pending(4, "user_b"))]

    results, _ = await publish(brokers, batch)

    assert (results.arrived, set(results.failed)) == ({0, 4}, {1})
    assert brokers.sent == {("a", 0): [1, 1], ("b", 0): [1]}


async def test_a_topic_without_partitions_fails_alone():
    results, _ = await publish(Brokers(), [("missing", pending(0, "user_a")), ("a", pending(1, "user_b"))])

    assert (results.arrived, set(results.failed)) == ({1}, {0})


async def test_records_keep_their_own_key_and_headers_in_faststreams_batch():
    """FastStream's own producer (0.7.8) drops the headers of each message; when it no longer does, ours can go."""
    appended: list[dict[str, Any]] = []

    class Batch:
        def append(self, **record: Any) -> object:
            appended.append(record)
            return object()

    brokers = Brokers()
    brokers.create_batch = Batch
    Batch.record_count = lambda _: 2
    records = [Record(b"k", b"v", [("name", b"1")]), Record(b"l", None, [("name", b"2")])]

    await broker(brokers).publish_batch(*records, topic="a", partition=0)

    assert [(each["key"], each["value"], each["headers"]) for each in appended] == [
        (b"k", b"v", [("name", b"1")]),
        (b"l", None, [("name", b"2")]),
    ]


def publisher(brokers: Brokers) -> KafkaPublisher:
    """A publisher that is connected."""
    made = KafkaPublisher(broker(brokers), topics=dict.fromkeys(TYPES.values(), "users"))
    made._connected, made._found = True, {"users"}
    return made


async def test_a_request_that_the_client_gave_up_is_an_outage_and_the_relay_goes_on(monkeypatch):
    """Aiokafka cancels requests of its own, and lets that out as if somebody had cancelled the caller."""

    class GivesUp(Brokers):
        async def partitions_for(self, topic: str) -> set[int]:
            raise asyncio.CancelledError

        stopped = False

        async def stop(self) -> None:
            self.stopped = True

    brokers = GivesUp()
    deliveries = await publisher(brokers).publish([pending(1, "user_a")])

    assert str(deliveries.outage) == "Kafka: out of reach (127.0.0.1:1: connection refused)"
    assert list(deliveries.acknowledged) == []
    assert brokers.stopped


async def test_being_cancelled_ourselves_is_no_outage():
    class Waits(Brokers):
        async def partitions_for(self, topic: str) -> set[int]:
            await asyncio.Event().wait()
            return set()

    publishing = asyncio.create_task(publisher(Waits()).publish([pending(1, "user_a")]))
    await asyncio.sleep(0)
    publishing.cancel()

    with pytest.raises(asyncio.CancelledError):
        await publishing


async def test_an_event_whose_type_has_no_topic_waits_and_holds_up_nothing_else():
    made = KafkaPublisher(broker(Brokers()), topics={"anomalyze.user.updated.v1": "users"})
    made._connected, made._found = True, {"users"}
    known, unknown = pending(1, "user_a"), pending(2, "user_b")
    known = evolve(known, message=evolve(known.message, type="anomalyze.user.updated.v1"))

    deliveries = await made.publish([unknown, known])

    assert list(deliveries.acknowledged) == [known]
    assert str(deliveries.outage) == "Kafka: configuration refused (no topic for anomalyze.user.created.v1)"


@pytest.mark.parametrize("refused", [None, 1])
async def test_nothing_of_a_key_is_sent_ahead_of_an_event_whose_type_has_no_topic(monkeypatch, refused):
    brokers = Brokers(batch_bytes=10_000, refused=refused)
    monkeypatch.setattr(RelayBroker, "connect", _nothing)
    monkeypatch.setattr(RelayBroker, "stop", _nothing)
    monkeypatch.setattr(RelayBroker, "unusable", _nothing_is_unusable)
    made = KafkaPublisher(broker(brokers), topics={"anomalyze.user.updated.v1": "users"})
    made._connected, made._found = True, {"users"}
    unknown, behind, other = pending(1, "user_a"), pending(2, "user_a"), pending(3, "user_b")
    behind, other = (
        evolve(item, message=evolve(item.message, type="anomalyze.user.updated.v1")) for item in (behind, other)
    )

    deliveries = await made.publish([unknown, behind, other])

    assert list(deliveries.acknowledged) == [other]
    assert str(deliveries.outage) == "Kafka: configuration refused (no topic for anomalyze.user.created.v1)"
    assert brokers.sent == {("users", 0): [1] * (2 if refused else 1)}  # one that is refused is tried once more, alone
    assert made._connected  # nothing that was sent is missing


async def _nothing(*_: Any) -> None:
    pass


async def _nothing_is_unusable(*_: Any) -> dict[str, Exception]:
    return {}
