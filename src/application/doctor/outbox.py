"""The outbox: whether events are published, and what prevents it."""

from collections.abc import Iterator

from application.counting import counted
from application.doctor.findings import Finding, Severity, Unanswered, not_checked
from application.relay.dead_letters import OutboxStatus, VacuumBlocker

OLD_EVENT_S = 60


def outbox_findings(status: OutboxStatus | Unanswered) -> Iterator[Finding]:
    if isinstance(status, Unanswered):
        yield not_checked("relay", str(status.failure), "see what is said of the database and its schema")
        return
    says = f"{counted(status.waiting, 'event waits', 'events wait')}, the oldest for {status.oldest_s:.0f} s"
    if not status.alive:
        severity = Severity.FAILURE if status.waiting else Severity.WARNING
        yield Finding("relay", severity, f"no relay is alive; {says}", "start auth-service relay")
    elif status.oldest_s > OLD_EVENT_S:
        advice = "see why in the relay's log (events_waiting, cause=…) and in auth-service outbox status"
        yield Finding("relay", Severity.FAILURE, f"{len(status.alive)} alive, and yet {says}", advice)
    else:
        yield Finding("relay", Severity.OK, f"{len(status.alive)} alive; {says}")
    if status.dead:
        says = f"{counted(status.dead, 'event was', 'events were')} refused by Kafka"
        yield Finding("dead letters", Severity.WARNING, says, "auth-service outbox dead, then retry or discard")
    if blocker := status.vacuum_blocker:
        advice = "end it (pg_terminate_backend, ROLLBACK PREPARED, pg_drop_replication_slot) if nobody needs it"
        yield Finding("vacuum", Severity.WARNING, blocked_by(blocker), advice)


def blocked_by(blocker: VacuumBlocker) -> str:
    """Name what keeps deleted rows on disk."""
    since = "" if blocker.age_s is None else f" for {blocker.age_s:.0f} s"
    return f"{blocker.kind} {blocker.name} has blocked vacuum{since}: deleted rows stay on disk"
