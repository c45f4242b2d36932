"""A way to get a later version of a user to land before an earlier one, closed and tried on a real broker."""

from adapters.kafka.cloudevents import USER_TYPES
from adapters.kafka.producer import BATCH_BYTES
from adapters.kafka.publisher import KafkaPublisher
from integration.conftest import create_topic
from integration.kafka.test_publisher_contract import consume, pending, versions


async def test_nothing_lands_behind_a_batch_that_a_broker_refused_as_a_whole(kafka_address, topic):
    """A broker checks the sequence only of producers it knows: a new one's second batch may come first."""
    small = f"{topic}-small"
    await create_topic(kafka_address, small, partitions=1, max_message_bytes="100000")
    publisher = KafkaPublisher([kafka_address], dict.fromkeys(USER_TYPES, small))
    size = 8_000
    batch = [pending("user_a", version, size=size) for version in range(1, BATCH_BYTES // size + 2)]

    deliveries = await publisher.publish(batch)
    await publisher.aclose()

    assert list(deliveries.acknowledged) == batch
    landed = versions(await consume(kafka_address, small, len(batch)), "user_a")
    assert landed == list(range(1, len(batch) + 1))
