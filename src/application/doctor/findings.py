"""What `doctor` says."""

from collections.abc import Iterable
from enum import StrEnum

from attrs import frozen

from application.failure import ADVICE, Failure


class Severity(StrEnum):
    OK = "ok"
    WARNING = "warning"  # works, and something will go wrong one day; or it could not be checked
    FAILURE = "failure"


@frozen
class Finding:
    check: str
    grade: Severity
    says: str
    advice: str = ""  # what to do about it; empty when nothing is to be done


@frozen
class Unanswered:
    """Instead of facts: why there are none."""

    failure: Failure

    def finding(self, check: str, variables: str) -> Finding:
        """`variables` are those that set the address and the credentials."""
        return Finding(check, Severity.FAILURE, str(self.failure), f"{advice_for(self.failure)} ({variables})")


def advice_for(failure: Failure) -> str:
    return next((advice for cause, advice in ADVICE.items() if cause is failure.cause), "")


def not_checked(check: str, why: str, advice: str = "") -> Finding:
    return Finding(check, Severity.WARNING, f"not checked: {why}", advice)


def passed(findings: Iterable[Finding], *, strict: bool = False) -> bool:
    """Tell whether all is well enough; `strict` takes warnings for failures."""
    bad = {Severity.FAILURE, Severity.WARNING} if strict else {Severity.FAILURE}
    return not any(finding.grade in bad for finding in findings)
