"""The publisher, all of whose events go into one topic."""

from adapters.kafka.broker import RelayBroker
from adapters.kafka.cloudevents import USER_TYPES
from adapters.kafka.publisher import KafkaPublisher


def publisher_to(addresses: str, topic: str) -> KafkaPublisher:
    """Publish to these servers, comma-separated."""
    return KafkaPublisher(RelayBroker(addresses.split(",")), topics=dict.fromkeys(USER_TYPES, topic))
