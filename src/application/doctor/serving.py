"""A running `serve`: the failures that its /health reports."""

from collections.abc import Iterator, Mapping

from attrs import field, frozen

from application.doctor.findings import Finding, Severity
from application.errors import Forgery
from application.failure import CLERK, KEYS, TOKENS, WEBHOOKS, Cause, Failure

_WRONG_SIGNATURE = Failure(WEBHOOKS, Forgery.SIGNATURE).label
_WRONG_TIME = Failure(WEBHOOKS, Forgery.TIME).label
_WRONG_CLOCK = Failure(TOKENS, Cause.CLOCK).label
_WRONG_KEY = Failure(CLERK, Cause.NOT_AUTHENTICATED).label
_VITAL = {_WRONG_SIGNATURE, _WRONG_TIME, _WRONG_CLOCK, _WRONG_KEY}
_ADVICE = {
    _WRONG_SIGNATURE: "compare CLERK_WEBHOOK_SECRET with the endpoint's signing secret (Clerk dashboard > Webhooks); "
    "while rotating, set both, comma-separated",
    _WRONG_TIME: "synchronise this machine's clock (NTP); otherwise old webhooks are being replayed",
    _WRONG_CLOCK: Cause.CLOCK.advice,
    _WRONG_KEY: "copy CLERK_SECRET_KEY again from Clerk dashboard > API keys",
    Failure(WEBHOOKS, Forgery.MALFORMED).label: "the sender is not Clerk, or a proxy drops the svix-… headers",
    Failure(CLERK, Cause.PROXY).label: Cause.PROXY.advice,
    Failure(KEYS, Cause.PROXY).label: Cause.PROXY.advice,
}


@frozen(kw_only=True)
class ServingFacts:
    address: str
    answers: bool
    checks: Mapping[str, str] = field(factory=dict)  # `ok`, `degraded`, `unavailable`, by name
    causes: Mapping[str, str] = field(factory=dict)  # why, as text, by name
    labels: Mapping[str, str] = field(factory=dict)  # why, as metrics label it, by name


def serving_findings(facts: ServingFacts) -> Iterator[Finding]:
    if not facts.answers:
        yield Finding("serve", Severity.OK, f"no answer at {facts.address}, so its failures were not checked")
        return
    # An `ok` with a cause: wrong signatures, which anybody can send, and which a wrong configured secret causes too.
    bad = ("degraded", "unavailable")
    failing = {name: state for name, state in facts.checks.items() if state in bad or name in facts.causes}
    if not failing:
        yield Finding("serve", Severity.OK, f"the one at {facts.address} reports no failure")
    for name, state in failing.items():
        cause = facts.causes.get(name, state)
        label = facts.labels.get(name, "")
        vital = state == "unavailable" or (state == "degraded" and label in _VITAL)
        advice = _ADVICE.get(label, "see the finding of this check above")
        yield Finding(f"serve: {name}", Severity.FAILURE if vital else Severity.WARNING, cause, advice)
