"""The headers of a message as text."""

from adapters.kafka.cloudevents import record_headers
from application.relay.messages import OutboxMessage


def headers(message: OutboxMessage) -> dict[str, str]:
    return {name: value.decode() for name, value in record_headers(message)}
