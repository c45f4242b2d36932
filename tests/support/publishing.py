"""The publisher, all of whose events go into one topic, and what it sends with an event."""

from adapters.kafka.broker import RelayBroker
from adapters.kafka.cloudevents import USER_TYPES, record_headers
from adapters.kafka.publisher import KafkaPublisher
from application.relay.messages import OutboxMessage


def publisher_to(addresses: str, topic: str) -> KafkaPublisher:
    """Publish to these servers, comma-separated."""
    return KafkaPublisher(RelayBroker(addresses.split(",")), topics=dict.fromkeys(USER_TYPES, topic))


def headers(message: OutboxMessage) -> dict[str, str]:
    """Return the headers of an event as text."""
    return {name: value.decode() for name, value in record_headers(message)}
