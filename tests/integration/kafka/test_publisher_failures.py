"""What a publisher makes of failing clusters and topics: nothing is lost, and no order is broken."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiokafka.errors import OutOfOrderSequenceNumber, ProducerFenced, UnknownProducerId
from attrs import evolve

from adapters.kafka.broker import RelayBroker
from adapters.kafka.publisher import KafkaPublisher
from application.failure import Failure
from application.relay.messages import Pending
from integration.conftest import create_topic
from integration.kafka.test_publisher_contract import consume, pending, versions
from integration.kafka.test_topic_tail import make_anew
from support.advertising import NAME_UNKNOWN, REFUSED, kafka_advertising
from support.publishing import publisher_to

OTHER_TYPE = "anomalyze.session.revoked.v1"


def of_other_type(user: str, version: int, *, size: int = 0) -> Pending:
    item = pending(user, version, size=size)
    return evolve(item, message=evolve(item.message, type=OTHER_TYPE))


@pytest.fixture
async def two_topics(kafka_address: str, topic: str) -> AsyncIterator[KafkaPublisher]:
    """Users' events go to the topic, the others to one beside it that does not exist yet."""
    topics = {"anomalyze.user.created.v1": topic, OTHER_TYPE: f"{topic}-other"}
    publisher = KafkaPublisher(RelayBroker([kafka_address]), topics=topics)
    yield publisher
    await publisher.aclose()


async def until_arrived(publisher: KafkaPublisher, left: list[Pending]) -> list[Failure]:
    """Publish as a relay does until everything has arrived; return the outages."""
    outages: list[Failure] = []
    async with asyncio.timeout(60):
        while left:
            done = await publisher.publish(left)
            outages += [done.outage] if done.outage else []
            left = [item for item in left if item not in done.acknowledged]
            await asyncio.sleep(0.2 if left else 0)
    return outages


async def test_a_missing_topic_holds_up_its_own_events_alone_and_they_go_out_once_it_is_made(
    two_topics, kafka_address, topic
):
    user, other = pending("user_a", 1), of_other_type("sess_a", 1)

    first = await two_topics.publish([other, user])
    again = await two_topics.publish([other, pending("user_a", 2)])
    await create_topic(kafka_address, f"{topic}-other")
    outages = await until_arrived(two_topics, [other])

    assert list(first.acknowledged) == [user]
    assert str(first.outage) == f"Kafka: topic missing ({topic}-other)"
    assert len(again.acknowledged) == 1
    assert {str(outage) for outage in outages} <= {f"Kafka: topic missing ({topic}-other)"}
    assert versions(await consume(kafka_address, topic, 2), "user_a") == [1, 2]
    assert versions(await consume(kafka_address, f"{topic}-other", 1), "sess_a") == [1]


async def test_what_one_topic_refuses_is_refused_alone(two_topics, kafka_address, topic):
    await create_topic(kafka_address, f"{topic}-other", partitions=1, max_message_bytes="20000")
    large, small = of_other_type("sess_a", 1, size=50_000), of_other_type("sess_a", 2)
    users = [pending("user_a", version, size=50_000) for version in (1, 2)]

    deliveries = await two_topics.publish([users[0], large, small, users[1]])

    assert [(refusal.pending, refusal.error) for refusal in deliveries.refused] == [
        (large, f"{topic}-other: MessageSizeTooLargeError")
    ]
    assert list(deliveries.acknowledged) == [users[0], small, users[1]]
    assert deliveries.outage is None
    assert versions(await consume(kafka_address, topic, 2), "user_a") == [1, 2]


async def test_a_topic_that_is_deleted_and_made_anew_takes_what_comes_then(kafka_address, topic, monkeypatch):
    publisher = publisher_to(kafka_address, topic)
    await publisher.publish([pending("user_a", 1)])
    await make_anew(kafka_address, topic, 0)
    monkeypatch.setattr("adapters.kafka.publisher.DEADLINE_S", 4.0)
    gone = await publisher.publish([pending("user_a", 2)])
    monkeypatch.undo()
    await create_topic(kafka_address, topic, partitions=1)

    await until_arrived(publisher, [pending("user_a", version) for version in (2, 3)])
    await publisher.aclose()

    assert str(gone.outage) == f"Kafka: topic missing ({topic})"
    assert versions(await consume(kafka_address, topic, 2), "user_a") == [2, 3]


@pytest.mark.parametrize("error", [UnknownProducerId, ProducerFenced, OutOfOrderSequenceNumber])
async def test_a_producer_that_a_broker_does_not_go_on_with_is_replaced(kafka_address, topic, monkeypatch, error):
    """As when a broker forgot it, or its numbering has a hole."""
    publisher = publisher_to(kafka_address, topic)
    await publisher.publish([pending("user_a", 1)])
    producer = publisher._broker.producer

    async def refuse(*_: Any, **__: Any) -> "asyncio.Future[Any]":
        refused = asyncio.get_running_loop().create_future()
        refused.set_exception(error())
        return refused

    monkeypatch.setattr(producer, "send_batch", refuse)
    outages = await until_arrived(publisher, [pending("user_a", version) for version in (2, 3)])
    await publisher.aclose()

    assert [str(outage) for outage in outages] == [f"Kafka: other ({error.__name__})"]
    assert publisher._broker.producer is not producer
    assert versions(await consume(kafka_address, topic, 3), "user_a") == [1, 2, 3]


async def test_brokers_that_send_us_to_an_address_out_of_reach_are_told_with_it_and_its_cause():
    causes = {NAME_UNKNOWN: "name not resolved", REFUSED: "connection refused"}
    with kafka_advertising(*causes) as kafka:
        await create_topic(kafka.good, "users")
        told = {}
        for advertised, address in kafka.bad.items():
            publisher = publisher_to(address, "users")
            told[advertised] = str((await publisher.publish([pending("user_a", 1)])).outage)
            await publisher.aclose()

    assert told == {
        advertised: f"Kafka: advertised address out of reach ({advertised}: {cause})"
        for advertised, cause in causes.items()
    }
