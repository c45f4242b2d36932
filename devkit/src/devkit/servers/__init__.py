"""Real PostgreSQL and real Apache Kafka from Python packages, for development, the demo and tests."""
