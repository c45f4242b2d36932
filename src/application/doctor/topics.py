"""Kafka: reachable, and its topics as they are defined, with the rights that a relay needs."""

from collections.abc import Iterator, Sequence

from application.counting import counted
from application.doctor.findings import Finding, Severity, Unanswered
from application.failure import Cause
from application.relay.topics import DAY_MS, HOUR_MS, TopicFacts, differences

RIGHTS = {"write": "the relay cannot publish", "read": "nobody can read with these credentials (events tail)"}
"""By right: what cannot be done without it."""


def topic_findings(found: Sequence[TopicFacts] | Unanswered) -> Iterator[Finding]:
    if isinstance(found, Unanswered):
        variables = "KAFKA_BOOTSTRAP_SERVERS, KAFKA_SECURITY_PROTOCOL, KAFKA_SASL_…, KAFKA_SSL_…, KAFKA_OAUTH_…"
        yield found.finding("kafka", variables)
        return
    brokers = found[0].brokers
    for failure in found[0].out_of_reach:
        yield Finding("kafka", Severity.FAILURE, str(failure), failure.advice)
    yield Finding("kafka", Severity.OK, f"{counted(brokers, 'broker')}, access granted")
    for facts in found:
        yield from _of(facts)


def _of(facts: TopicFacts) -> Iterator[Finding]:
    name = facts.topic.name
    if facts.hidden:
        says = f"{name} is hidden: an ACL denies Describe"
        yield Finding("topic", Severity.FAILURE, says, _grant("Describe", "Write", topic=name))
        return
    if facts.partitions is None:
        says = f"{name} does not exist; events wait in the outbox"
        advice = f"{Cause.TOPIC_MISSING.advice} (or name another in {facts.topic.definition.variable})"
        yield Finding("topic", Severity.FAILURE, says, advice)
        return
    yield Finding("topic", Severity.OK, f"{name}: {_summary(facts)}")
    yield from _rights(facts)
    yield from _copies(facts)
    if facts.settings is None:
        says = f"{name}: not checked, an ACL denies DescribeConfigs"
        yield Finding("topic settings", Severity.WARNING, says, _grant("DescribeConfigs", topic=name))
    for difference in differences(facts):
        says = f"{name}: {difference.what} is {difference.found}, defined is {difference.defined}"
        severity = Severity.FAILURE if difference.vital else Severity.WARNING
        yield Finding("topic settings", severity, says, f"change it: {difference.why}")


def _rights(facts: TopicFacts) -> Iterator[Finding]:
    if facts.operations is None:
        return
    name = facts.topic.name
    denied = [right for right in RIGHTS if right not in facts.operations]
    for right in denied:
        severity = Severity.FAILURE if right == "write" else Severity.WARNING
        says = f"{name}: an ACL denies {right.capitalize()}: {RIGHTS[right]}"
        yield Finding("topic rights", severity, says, _grant(right.capitalize(), topic=name))
    if not denied:
        yield Finding("topic rights", Severity.OK, f"{name}: write and read are permitted")


def _copies(facts: TopicFacts) -> Iterator[Finding]:
    name = facts.topic.name
    if facts.leaderless:
        says = f"{name}: {counted(facts.leaderless, 'partition has', 'partitions have')} no leader; events wait"
        yield Finding("topic copies", Severity.FAILURE, says, Cause.NOT_ENOUGH_REPLICAS.advice)
    needed = int((facts.settings or {}).get("min.insync.replicas", 1))
    if facts.in_sync < min(needed, facts.replication_factor):
        copies = counted(facts.in_sync, "current copy", "current copies")
        says = f"{name}: {copies}, and {needed} must have an event before it counts"
        yield Finding("topic copies", Severity.FAILURE, says, Cause.NOT_ENOUGH_REPLICAS.advice)
    elif facts.in_sync < facts.replication_factor:
        says = f"{name}: {facts.in_sync} of {facts.replication_factor} copies are current"
        yield Finding("topic copies", Severity.WARNING, says, Cause.NOT_ENOUGH_REPLICAS.advice)


def _summary(facts: TopicFacts) -> str:
    copies = counted(facts.replication_factor, "copy", "copies")
    said = f"{counted(facts.partitions or 0, 'partition')}, {copies} each"
    if facts.settings is None:
        return said
    if "compact" in facts.settings.get("cleanup.policy", ""):
        return f"{said}, compacted"
    kept_ms = int(facts.settings.get("retention.ms", -1))
    if kept_ms < 0:
        return f"{said}, kept for ever"
    count, unit = (kept_ms / DAY_MS, "day") if kept_ms >= DAY_MS else (kept_ms / HOUR_MS, "hour")
    return f"{said}, kept for {count:g} {unit}{'' if count == 1 else 's'}"


def _grant(*rights: str, topic: str) -> str:
    """The command of Kafka's own tool: this service may not grant rights."""
    operations = " ".join(f"--operation {right}" for right in rights)
    return f"kafka-acls.sh --add --allow-principal User:… {operations} --topic {topic}"
