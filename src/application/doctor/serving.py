"""A `serve` that runs: what it has met, told by its own /health."""

from collections.abc import Iterator, Mapping

from attrs import field, frozen

from application.doctor.findings import Finding, Severity
from application.errors import Forgery
from application.failure import ADVICE, CLERK, KEYS, TOKENS, WEBHOOKS, Trouble, told

_ADVICE = {
    told(WEBHOOKS, Forgery.SIGNATURE): (
        "compare CLERK_WEBHOOK_SECRET with the endpoint's signing secret (Clerk dashboard > Webhooks); while rotating, "
        "set both, comma-separated"
    ),
    told(WEBHOOKS, Forgery.TIME): "synchronise this machine's clock (NTP); or somebody replays old webhooks",
    told(WEBHOOKS, Forgery.MALFORMED): "whoever sends these is not Clerk; or a proxy drops the svix-… headers",
    told(TOKENS, Trouble.CLOCK): ADVICE[Trouble.CLOCK],
    told(CLERK, Trouble.PROXY): ADVICE[Trouble.PROXY],
    told(CLERK, Trouble.NOT_AUTHENTICATED): "take CLERK_SECRET_KEY anew from Clerk dashboard > API keys",
    told(KEYS, Trouble.PROXY): ADVICE[Trouble.PROXY],
}
_VITAL = {
    told(WEBHOOKS, Forgery.SIGNATURE),
    told(WEBHOOKS, Forgery.TIME),
    told(TOKENS, Trouble.CLOCK),
    told(CLERK, Trouble.NOT_AUTHENTICATED),
}


@frozen(kw_only=True)
class ServingFacts:
    address: str
    answers: bool
    checks: Mapping[str, str] = field(factory=dict)
    """`ok`, `degraded`, `unavailable`, by name."""
    causes: Mapping[str, str] = field(factory=dict)
    """Why, in words, by name."""
    labels: Mapping[str, str] = field(factory=dict)
    """Why, as metrics label it, by name."""


def serving_findings(facts: ServingFacts) -> Iterator[Finding]:
    if not facts.answers:
        yield Finding("serve", Severity.OK, f"none answers at {facts.address}, so none was asked what it has met")
        return
    # An `ok` with a cause: wrong signatures, which anybody can send, and which a wrong secret of ours makes too.
    troubles = {
        name: state
        for name, state in facts.checks.items()
        if state in ("degraded", "unavailable") or name in facts.causes
    }
    if not troubles:
        yield Finding("serve", Severity.OK, f"the one at {facts.address} has met no trouble")
    for name, state in troubles.items():
        cause = facts.causes.get(name, state)
        label = facts.labels.get(name, "")
        vital = state == "unavailable" or (state == "degraded" and label in _VITAL)
        advice = _ADVICE.get(label, "see what is said of it here")
        yield Finding(f"serve: {name}", Severity.FAILURE if vital else Severity.WARNING, cause, advice)
