"""Connection settings for Kafka from the `KAFKA_*` variables, for FastStream and aiokafka (the extra `kafka`)."""

from anomalyze_auth.kafka.connection import KafkaConfigurationError, KafkaConnection
from anomalyze_auth.kafka.credentials import Credential

__all__ = ["Credential", "KafkaConfigurationError", "KafkaConnection"]
