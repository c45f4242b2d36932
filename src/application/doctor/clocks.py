"""Clocks: webhooks older or newer than 5 minutes are refused, and a session token lives for one."""

from collections.abc import Iterator, Mapping

from application.doctor.findings import Finding, Severity
from application.failure import Cause

TOLERATED_S = 5  # the leeway for session tokens; a webhook has 300 s
_ALIKE_S = 3  # an HTTP date is in whole seconds, and an answer takes some time


def clock_findings(ahead_s: Mapping[str, float]) -> Iterator[Finding]:
    """Compare our clock with others, by their names: how many seconds each is ahead of ours."""
    if not ahead_s:
        return
    wrong = {name: seconds for name, seconds in ahead_s.items() if abs(seconds) > TOLERATED_S}
    if not wrong:
        says = ", ".join(f"{name} {seconds:+z.1f} s" for name, seconds in ahead_s.items())
        yield Finding("clock", Severity.OK, f"compared with ours: {says}")
        return
    # The same difference from every other clock: this machine's is wrong.
    ours = wrong.keys() == ahead_s.keys() and max(wrong.values()) - min(wrong.values()) < _ALIKE_S
    for name, seconds in wrong.items():
        apart = f"{abs(seconds):.0f} s {'behind' if seconds > 0 else 'ahead of'} {name}'s"
        says = f"{Cause.CLOCK}: this machine's clock is {apart}"
        whose = "this machine's" if ours and len(wrong) > 1 else f"this machine's or {name}'s"
        advice = f"synchronise {whose} (NTP): tokens and webhooks are refused by it"
        yield Finding("clock", Severity.FAILURE, says, advice)
