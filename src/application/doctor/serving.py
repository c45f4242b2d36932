"""A running `serve`: the failures that its /health reports."""

from collections.abc import Iterator, Mapping

from attrs import field, frozen

from application.doctor.findings import Finding, Severity
from application.errors import Forgery
from application.failure import ADVICE, CLERK, KEYS, TOKENS, WEBHOOKS, Cause, Failure

_ADVICE = {
    Failure(WEBHOOKS, Forgery.SIGNATURE).label: (
        "compare CLERK_WEBHOOK_SECRET with the endpoint's signing secret (Clerk dashboard > Webhooks); while rotating, "
        "set both, comma-separated"
    ),
    Failure(
        WEBHOOKS, Forgery.TIME
    ).label: "synchronise this machine's clock (NTP); otherwise old webhooks are being replayed",
    Failure(WEBHOOKS, Forgery.MALFORMED).label: "the sender is not Clerk, or a proxy drops the svix-… headers",
    Failure(TOKENS, Cause.CLOCK).label: ADVICE[Cause.CLOCK],
    Failure(CLERK, Cause.PROXY).label: ADVICE[Cause.PROXY],
    Failure(CLERK, Cause.NOT_AUTHENTICATED).label: "copy CLERK_SECRET_KEY again from Clerk dashboard > API keys",
    Failure(KEYS, Cause.PROXY).label: ADVICE[Cause.PROXY],
}
_VITAL = {
    Failure(WEBHOOKS, Forgery.SIGNATURE).label,
    Failure(WEBHOOKS, Forgery.TIME).label,
    Failure(TOKENS, Cause.CLOCK).label,
    Failure(CLERK, Cause.NOT_AUTHENTICATED).label,
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
    troubles = {
        name: state
        for name, state in facts.checks.items()
        if state in ("degraded", "unavailable") or name in facts.causes
    }
    if not troubles:
        yield Finding("serve", Severity.OK, f"the one at {facts.address} reports no failure")
    for name, state in troubles.items():
        cause = facts.causes.get(name, state)
        label = facts.labels.get(name, "")
        vital = state == "unavailable" or (state == "degraded" and label in _VITAL)
        advice = _ADVICE.get(label, "see the finding of this check above")
        yield Finding(f"serve: {name}", Severity.FAILURE if vital else Severity.WARNING, cause, advice)
