"""What `doctor` looks at, and what it makes of it: facts in, findings out."""

from collections.abc import Iterator, Mapping
from enum import StrEnum

from attrs import frozen

from application.outbox_status import OutboxStatus

OUTBOX_OPTIONS = {"autovacuum_vacuum_scale_factor": "0", "autovacuum_vacuum_cost_delay": "0"}
"""Storage parameters without which the outbox bloats: it is vacuumed by count, and without pauses."""

OLD_EVENT_S = 60
CLOCK_SKEW_S = 5
LEAST_MESSAGE_BYTES = 1_048_576


class Grade(StrEnum):
    OK = "ok"
    WARNING = "warning"
    FAILURE = "failure"


@frozen
class Finding:
    check: str
    grade: Grade
    says: str
    advice: str = ""
    """What to do about it; empty when nothing is to be done."""


@frozen(kw_only=True)
class DatabaseFacts:
    server: str
    revision: str | None
    """The schema that the database has; None before the first migration."""
    head: str | None
    """The schema that this version expects."""
    read_only: bool
    clock_ahead_s: float
    """How far the database's clock is ahead of ours, seconds."""
    settings: Mapping[str, str]
    """The server's settings that decide whether an acknowledged write is kept."""
    outbox_options: Mapping[str, str]
    outbox_bytes: int
    """The outbox on disk, indexes included."""


@frozen(kw_only=True)
class TopicFacts:
    topic: str
    partitions: int | None
    """None when the topic does not exist."""
    settings: Mapping[str, str]
    """The topic's own and inherited settings."""


def database_findings(facts: DatabaseFacts) -> Iterator[Finding]:
    yield Finding("database", Grade.OK, f"PostgreSQL {facts.server} answers")
    if facts.revision == facts.head:
        yield Finding("schema", Grade.OK, f"at {facts.head}")
    else:
        says = f"at {facts.revision or 'nothing'}, this version expects {facts.head}"
        yield Finding("schema", Grade.FAILURE, says, "auth-service migrate")
    if facts.read_only:
        advice = "point DATABASE_URL at the primary, or see default_transaction_read_only and the disk"
        yield Finding("writes", Grade.FAILURE, "the database takes no writes", advice)
    if abs(facts.clock_ahead_s) > CLOCK_SKEW_S:
        says = f"the database's clock and ours differ by {facts.clock_ahead_s:+.0f} s"
        advice = "synchronise both (NTP): webhooks older or newer than 5 minutes are refused, tokens live for one"
        yield Finding("clock", Grade.FAILURE, says, advice)
    else:
        yield Finding("clock", Grade.OK, f"{facts.clock_ahead_s:+.1f} s between the database's and ours")
    for name in ("fsync", "full_page_writes", "synchronous_commit"):
        if facts.settings.get(name) == "off":
            advice = f"set {name} = on: an acknowledged webhook may be forgotten in a crash"
            yield Finding("durability", Grade.WARNING, f"{name} is off", advice)
    if facts.revision:
        missing = [f"{name} = {value}" for name, value in OUTBOX_OPTIONS.items() if not _same(facts, name, value)]
        if missing:
            advice = f"ALTER TABLE outbox SET ({', '.join(missing)})"
            yield Finding("autovacuum", Grade.WARNING, "the outbox has lost its vacuum settings", advice)
        else:
            yield Finding("autovacuum", Grade.OK, f"as migrated; the outbox takes {facts.outbox_bytes / 1e6:.1f} MB")


def outbox_findings(status: OutboxStatus) -> Iterator[Finding]:
    says = f"{status.waiting} events wait, the oldest for {status.oldest_s:.0f} s"
    if not status.alive:
        grade = Grade.FAILURE if status.waiting else Grade.WARNING
        yield Finding("relay", grade, f"no relay is alive; {says}", "start auth-service relay")
    elif status.oldest_s > OLD_EVENT_S:
        advice = "see why in the relay's log (events wait, reason=…) and in auth-service outbox status"
        yield Finding("relay", Grade.FAILURE, f"{len(status.alive)} alive, and yet {says}", advice)
    else:
        yield Finding("relay", Grade.OK, f"{len(status.alive)} alive; {says}")
    if status.dead:
        advice = "auth-service outbox dead, then retry or discard"
        yield Finding("dead letters", Grade.WARNING, f"{status.dead} events were refused by Kafka", advice)
    if blocker := status.vacuum_blocker:
        since = "" if blocker.age_s is None else f" for {blocker.age_s:.0f} s"
        advice = "end it (pg_terminate_backend, ROLLBACK PREPARED, pg_drop_replication_slot) if nobody needs it"
        says = f"{blocker.kind} {blocker.name} has held back vacuum{since}: deleted rows stay on disk"
        yield Finding("vacuum", Grade.WARNING, says, advice)


def topic_findings(facts: TopicFacts) -> Iterator[Finding]:
    if facts.partitions is None:
        advice = f"create it, for example: kafka-topics.sh --create --topic {facts.topic} --partitions 6"
        yield Finding("topic", Grade.FAILURE, f"{facts.topic} does not exist; events wait in the outbox", advice)
        return
    days = int(facts.settings.get("retention.ms", -1)) / 86_400_000
    kept = f"kept for {days:g} days" if days >= 0 else "kept for ever"
    yield Finding("topic", Grade.OK, f"{facts.topic}: {facts.partitions} partitions, {kept}")
    if days < 0 and "delete" in facts.settings.get("cleanup.policy", "delete"):
        advice = "set retention.ms: what a deleted user once was must leave Kafka too"
        yield Finding("retention", Grade.WARNING, "events are kept for ever", advice)
    if int(facts.settings.get("max.message.bytes", LEAST_MESSAGE_BYTES)) < LEAST_MESSAGE_BYTES:
        advice = f"set max.message.bytes to {LEAST_MESSAGE_BYTES} or more: a user with much metadata is a large event"
        yield Finding("message size", Grade.WARNING, "the topic refuses events that we may have to send", advice)


def _same(facts: DatabaseFacts, name: str, value: str) -> bool:
    return float(facts.outbox_options.get(name, "nan")) == float(value)
