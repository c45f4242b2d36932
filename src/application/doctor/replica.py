"""Replicas: whether reads can go there."""

from collections.abc import Iterator, Mapping

from application.doctor.findings import Finding, Severity, Unanswered
from application.failure import Cause, Failure

_READS_GO_TO_THE_PRIMARY = (Cause.NOT_A_STANDBY, Cause.TOO_FAR_BEHIND, Cause.OTHER_TIMELINE)
"""Causes that may be intended, or temporary."""


def replica_findings(states: Mapping[str, Failure | None] | Unanswered) -> Iterator[Finding]:
    """Judge the addresses in `DATABASE_REPLICA_URL`: why each is not in use, or None."""
    if isinstance(states, Unanswered):
        yield states.finding("replica", "DATABASE_REPLICA_URL")
        return
    for name, failure in states.items():
        if failure is None:
            yield Finding("replica", Severity.OK, f"{name} follows the primary, and can be read")
        else:
            grade = Severity.WARNING if failure.cause in _READS_GO_TO_THE_PRIMARY else Severity.FAILURE
            yield Finding("replica", grade, f"{name}: {failure}; the primary is read instead", failure.advice)
