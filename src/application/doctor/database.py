"""PostgreSQL: reachable, migrated, writable, configured so that acknowledged writes are kept, and its replicas."""

from collections.abc import Iterator, Mapping, Sequence

from attrs import frozen

from application.counting import counted
from application.doctor.cluster import ClusterFacts, cluster_findings
from application.doctor.findings import Finding, Severity, Unanswered
from application.doctor.schema_state import SchemaState
from application.failure import Cause, Failure

OUTBOX_OPTIONS = {"autovacuum_vacuum_scale_factor": 0, "autovacuum_vacuum_cost_delay": 0}
"""Storage parameters without which the outbox bloats: it is vacuumed by count, and without pauses."""

OLDEST_VERSION = 150_000  # `server_version_num` of the oldest major version that this service was tested on
CONNECTIONS_OF_A_PROCESS = 10  # about what one more process may open: a worker of `serve` 8, a relay 11
WORTH_ANALYZING_BYTES = 8_000_000  # a smaller table is read as quickly with any plan

_DURABILITY = {
    "fsync": "a crash of the machine may damage the whole database",
    "full_page_writes": "a crash of the machine may damage the whole database",
    "synchronous_commit": "an acknowledged webhook may be lost in a crash",
}
_READS_GO_TO_THE_PRIMARY = (Cause.NOT_A_STANDBY, Cause.TOO_FAR_BEHIND, Cause.OTHER_TIMELINE)
"""Causes that may be intended, or temporary."""
_VACUUM = {"autovacuum": "deleted rows stay on disk", "track_counts": "autovacuum has no statistics"}


@frozen(kw_only=True)
class DatabaseFacts:
    ignored: Sequence[str]  # parameters in `DATABASE_URL` that change nothing
    server: str  # version, as people write it
    version: int  # `server_version_num`
    encoding: str  # of everything that is stored
    pooled: bool  # a transaction-mode pooler is in between
    revision: str | None  # the schema that the database has; None before the first migration
    revisions: Sequence[str]  # the schemas that this version knows, oldest first; it expects the last
    schema: SchemaState
    standby: bool  # it follows a primary
    clock_ahead_s: float  # how far the database's clock is ahead of ours, seconds
    settings: Mapping[str, str]
    """The server's settings that decide whether an acknowledged write is kept and deleted rows are removed."""
    connections: int  # that are in use
    waiting_for_standby: int  # of these, the ones whose COMMIT waits for a synchronous standby
    connections_allowed: int  # for roles like ours
    idle_limit_ms: int  # how long a session of our role may stay in a transaction; 0: without a limit
    outbox_options: Mapping[str, str]
    outbox_bytes: int  # the outbox on disk, indexes included
    users_bytes: int
    users_analyzed: bool  # the planner has statistics of the users table
    cluster: ClusterFacts | None = None  # where the database is a Citus cluster


def database_findings(facts: DatabaseFacts | Unanswered) -> Iterator[Finding]:
    if isinstance(facts, Unanswered):
        yield facts.finding("database", "DATABASE_URL")
        return
    yield Finding("database", Severity.OK, f"PostgreSQL {facts.server} answers")
    if facts.ignored:
        yield Finding("DATABASE_URL", Severity.OK, f"{', '.join(facts.ignored)}: ignored (see docs/hosting.md)")
    if facts.encoding != "UTF8":
        says = f"{Cause.ENCODING} (encoding {facts.encoding}): names with other letters cannot be stored"
        yield Finding("encoding", Severity.FAILURE, says, Cause.ENCODING.advice)
    if facts.pooled:
        says = "a transaction pooler is in between: statements are not prepared, relays poll instead of being notified"
        yield Finding("pooler", Severity.OK, says)
    if facts.version < OLDEST_VERSION:
        says = f"PostgreSQL {facts.server} is older than what this service was run on"
        advice = f"upgrade to {OLDEST_VERSION // 10_000} or newer"
        yield Finding("database version", Severity.WARNING, says, advice)
    yield _schema(facts)
    yield from _durability(facts)
    yield from _connections(facts)
    yield from _tables(facts)
    yield from cluster_findings(facts.cluster)


def write_findings(facts: DatabaseFacts | Unanswered, written: Unanswered | None) -> Iterator[Finding]:
    """Judge a write that was tried and rolled back; `written` is None when it went well."""
    if isinstance(facts, Unanswered):
        return
    if written is None:
        yield Finding("writes", Severity.OK, "a user and an event can be stored (tried, and rolled back)")
        return
    advice = written.failure.advice
    if facts.standby:
        advice = "point DATABASE_URL at the primary: this server is a standby"
    elif written.failure.cause is Cause.NOT_AUTHORIZED:
        advice = "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA … TO the role in DATABASE_URL"
    yield Finding("writes", Severity.FAILURE, str(written.failure), advice)


def replica_findings(states: Mapping[str, Failure | None] | Unanswered) -> Iterator[Finding]:
    """Judge the addresses in `DATABASE_REPLICA_URL`: why each is not in use, or None."""
    if isinstance(states, Unanswered):
        yield states.finding("replica", "DATABASE_REPLICA_URL")
        return
    for name, failure in states.items():
        if failure is None:
            yield Finding("replica", Severity.OK, f"{name} follows the primary, and can be read")
        else:
            severity = Severity.WARNING if failure.cause in _READS_GO_TO_THE_PRIMARY else Severity.FAILURE
            yield Finding("replica", severity, f"{name}: {failure}; the primary is read instead", failure.advice)


def _schema(facts: DatabaseFacts) -> Finding:
    head = facts.revisions[-1]
    match facts.schema:
        case SchemaState.CURRENT:
            return Finding("schema", Severity.OK, f"at {head}")
        case SchemaState.NEWER:
            says = f"at {facts.revision}, newer than {head}, which this version expects"
            return Finding("schema", Severity.WARNING, says, "fine while a release is rolled out; else update this one")
        case SchemaState.FOREIGN:
            says = f"alembic_version, at {facts.revision}, is another application's"
            return Finding("schema", Severity.FAILURE, says, Cause.FOREIGN_SCHEMA.advice)
    behind = len(facts.revisions) - 1 - (facts.revisions.index(facts.revision) if facts.revision else -1)
    says = f"at {facts.revision or 'nothing'}, {behind} behind {head}, which this version expects"
    return Finding("schema", Severity.FAILURE, says, Cause.NOT_MIGRATED.advice)


def _durability(facts: DatabaseFacts) -> Iterator[Finding]:
    lost = [name for name in _DURABILITY if facts.settings.get(name) == "off"]
    for name in lost:
        yield Finding("durability", Severity.WARNING, f"{name} is off", f"set {name} = on: {_DURABILITY[name]}")
    if not lost:
        yield Finding("durability", Severity.OK, "what is acknowledged survives a crash")
    if facts.waiting_for_standby:
        says = f"{counted(facts.waiting_for_standby, 'session waits', 'sessions wait')} for a synchronous standby"
        yield Finding("durability", Severity.WARNING, says, Cause.NO_STANDBY.advice)
    for name, consequence in _VACUUM.items():
        if facts.settings.get(name) == "off":
            yield Finding("autovacuum", Severity.FAILURE, f"{name} is off: {consequence}", f"set {name} = on")
    if facts.idle_limit_ms == 0:
        says = "a session may stay in a transaction without limit, which blocks vacuum"
        advice = "ALTER ROLE … SET idle_in_transaction_session_timeout = '30s' (a pooler does not pass ours on)"
        yield Finding("idle transactions", Severity.WARNING, says, advice)


def _connections(facts: DatabaseFacts) -> Iterator[Finding]:
    says = f"{facts.connections} of {facts.connections_allowed} are in use"
    if facts.connections_allowed - facts.connections < CONNECTIONS_OF_A_PROCESS:
        says = f"{says}: no room for one more process"
        yield Finding("connections", Severity.WARNING, says, Cause.TOO_MANY_CONNECTIONS.advice)
    else:
        yield Finding("connections", Severity.OK, says)


def _tables(facts: DatabaseFacts) -> Iterator[Finding]:
    if not facts.revision:
        return
    found = {name: float(facts.outbox_options.get(name, "nan")) for name in OUTBOX_OPTIONS}
    missing = [f"{name} = {value}" for name, value in OUTBOX_OPTIONS.items() if found[name] != value]
    if missing:
        advice = f"ALTER TABLE outbox SET ({', '.join(missing)})"
        yield Finding("autovacuum", Severity.WARNING, "the outbox has lost its vacuum settings", advice)
    else:
        yield Finding("autovacuum", Severity.OK, f"as migrated; the outbox takes {facts.outbox_bytes / 1e6:.1f} MB")
    if facts.users_bytes > WORTH_ANALYZING_BYTES and not facts.users_analyzed:
        says = "the users table was never analyzed: the planner guesses"
        yield Finding("statistics", Severity.WARNING, says, "ANALYZE users")
