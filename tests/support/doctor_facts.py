"""What a doctor finds out about servers that are well."""

from attrs import evolve

from application.doctor.clerk import ClerkFacts, KeySet
from application.doctor.database import DatabaseFacts
from application.doctor.schema_state import SchemaState
from application.failure import KAFKA, Cause, Failure
from application.relay.dead_letters import LaneBacklog, OutboxStatus
from application.relay.topics import DAY_MS, EVENTS, STATE, Topic, TopicFacts

DATABASE = DatabaseFacts(
    ignored=[],
    server="17.0",
    version=170_000,
    encoding="UTF8",
    pooled=False,
    revision="0002",
    revisions=["0001", "0002"],
    schema=SchemaState.CURRENT,
    standby=False,
    clock_ahead_s=0.1,
    settings={
        **dict.fromkeys(["fsync", "full_page_writes", "synchronous_commit"], "on"),
        **dict.fromkeys(["autovacuum", "track_counts"], "on"),
    },
    connections=10,
    waiting_for_standby=0,
    connections_allowed=97,
    idle_limit_ms=30_000,
    outbox_options={"autovacuum_vacuum_scale_factor": "0", "autovacuum_vacuum_cost_delay": "0"},
    outbox_bytes=8192,
    users_bytes=8192,
    users_analyzed=False,
)
OUTBOX = OutboxStatus(
    read_at=0.0,
    stored=10,
    lanes=[LaneBacklog(lane=0, owner="a", waiting=2, oldest_s=1.0)],
    dead=0,
    relays={"a": 1.0},
    vacuum_blocker=None,
)
ALL = frozenset({"read", "write", "describe", "describe_configs"})
TOPIC = TopicFacts(
    topic=Topic("users", EVENTS),
    brokers=3,
    partitions=6,
    replication_factor=3,
    in_sync=3,
    settings={
        "retention.ms": str(7 * DAY_MS),
        "cleanup.policy": "delete",
        "max.message.bytes": "2097152",
        "min.insync.replicas": "2",
    },
    operations=ALL,
)
STATE_TOPIC = evolve(
    TOPIC,
    topic=Topic("state", STATE),
    settings={
        "cleanup.policy": "compact",
        "delete.retention.ms": str(7 * DAY_MS),
        "max.compaction.lag.ms": str(DAY_MS),
        "max.message.bytes": "2097152",
        "min.insync.replicas": "2",
    },
)
AWAY = [Failure(KAFKA, Cause.BAD_ADDRESS, "kafka.internal:9092: name not resolved")]
KEYS = KeySet(address="clerk.example.com", status=200, keys={"ins_1": "A"}, clock_ahead_s=0.2)
CLERK = ClerkFacts(
    pem_thumbprint="A",
    of_secret_key=KEYS,
    published=KEYS,
)
