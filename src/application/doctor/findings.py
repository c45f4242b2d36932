"""What `doctor` says."""

from collections.abc import Iterable
from enum import StrEnum

from attrs import frozen

from application.failure import ADVICE, Trouble


class Severity(StrEnum):
    OK = "ok"
    WARNING = "warning"
    """Works, and something will go wrong one day; or it could not be checked."""
    FAILURE = "failure"


@frozen
class Finding:
    check: str
    grade: Severity
    says: str
    advice: str = ""
    """What to do about it; empty when nothing is to be done."""


@frozen
class Unanswered:
    """Instead of facts: why there are none."""

    says: str
    trouble: Trouble = Trouble.OTHER

    def finding(self, check: str, variables: str) -> Finding:
        """`variables` are those that say where it is, and who we are there."""
        return Finding(check, Severity.FAILURE, self.says, f"{ADVICE[self.trouble]} ({variables})")


def not_checked(check: str, why: str, advice: str = "") -> Finding:
    return Finding(check, Severity.WARNING, f"not checked: {why}", advice)


def passed(findings: Iterable[Finding], *, strict: bool = False) -> bool:
    """Tell whether all is well enough; `strict` takes warnings for failures."""
    bad = {Severity.FAILURE, Severity.WARNING} if strict else {Severity.FAILURE}
    return not any(finding.grade in bad for finding in findings)
