"""What `doctor` says."""

from collections.abc import Iterable
from enum import StrEnum

from attrs import frozen

from application.doctor.runbooks import RUNBOOKS
from application.failure import Failure


class Severity(StrEnum):
    OK = "ok"
    WARNING = "warning"  # it works now, but may fail later; or it could not be checked
    FAILURE = "failure"


@frozen
class Finding:
    check: str
    severity: Severity
    says: str
    advice: str = ""  # what to do about it; empty if nothing

    @property
    def runbook(self) -> str:
        """Where the documentation says more; empty if nothing is wrong."""
        if self.severity is Severity.OK:
            return ""
        # The `serve` that answers may be of another release, and check something that this one does not know.
        return f"docs/{RUNBOOKS.get(self.check.removeprefix('serve: '), RUNBOOKS['serve'])}"


@frozen
class Unanswered:
    """In place of facts: why they could not be read."""

    failure: Failure

    def finding(self, check: str, variables: str) -> Finding:
        """`variables` are those that set the address and the credentials."""
        return Finding(check, Severity.FAILURE, str(self.failure), f"{self.failure.advice} ({variables})")


def not_checked(check: str, why: str, advice: str = "") -> Finding:
    return Finding(check, Severity.WARNING, f"not checked: {why}", advice)


def passed(findings: Iterable[Finding], *, strict: bool = False) -> bool:
    """Tell whether the check passed; `strict` counts warnings as failures."""
    bad = {Severity.FAILURE, Severity.WARNING} if strict else {Severity.FAILURE}
    return not any(finding.severity in bad for finding in findings)
