"""Kafka: what an event looks like on the wire, and the producer that puts it there."""
