"""A `serve` that runs: what it has met, told by its own /health."""

from collections.abc import Iterator, Mapping

from attrs import field, frozen

from application.doctor.findings import Finding, Severity
from application.failure import ADVICE, Trouble

_ADVICE = {
    "webhook: wrong signature": (
        "compare CLERK_WEBHOOK_SECRET with the endpoint's signing secret (Clerk dashboard > Webhooks); while rotating, "
        "set both, comma-separated"
    ),
    "webhook: clock differs": "synchronise this machine's clock (NTP); or somebody replays old webhooks",
    "session token: clock differs": ADVICE[Trouble.CLOCK],
    "Clerk: proxy refused": ADVICE[Trouble.PROXY],
    "signing keys: proxy refused": ADVICE[Trouble.PROXY],
    "webhook: malformed": "whoever sends these is not Clerk; or a proxy drops the svix-… headers",
    "Clerk: credentials refused": "take CLERK_SECRET_KEY anew from Clerk dashboard > API keys",
}
_VITAL = (
    "webhook: wrong signature",
    "webhook: clock differs",
    "session token: clock differs",
    "Clerk: credentials refused",
)


@frozen(kw_only=True)
class ServingFacts:
    address: str
    answers: bool
    checks: Mapping[str, str] = field(factory=dict)
    """`ok`, `degraded`, `unavailable`, by name."""
    causes: Mapping[str, str] = field(factory=dict)


def serving_findings(facts: ServingFacts) -> Iterator[Finding]:
    if not facts.answers:
        yield Finding("serve", Severity.OK, f"none answers at {facts.address}, so none was asked what it has met")
        return
    troubles = {name: state for name, state in facts.checks.items() if state in ("degraded", "unavailable")}
    if not troubles:
        yield Finding("serve", Severity.OK, f"the one at {facts.address} has met no trouble")
    for name, state in troubles.items():
        cause = facts.causes.get(name, state)
        vital = state == "unavailable" or cause.startswith(_VITAL)
        advice = next(
            (text for start, text in _ADVICE.items() if cause.startswith(start)), "see what is said of it here"
        )
        yield Finding(f"serve: {name}", Severity.FAILURE if vital else Severity.WARNING, cause, advice)
