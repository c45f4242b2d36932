"""Clerk: the keys are valid, of one instance, and its key set is reachable."""

from collections.abc import Iterator, Mapping

from attrs import field, frozen

from application.doctor.findings import Finding, Severity
from application.failure import Cause


@frozen(kw_only=True)
class KeySet:
    """A key set that was requested."""

    address: str
    status: int | None  # of the answer; None when there was none
    problem: str = ""  # why its keys cannot be used; empty if they can
    cause: Cause | None = None  # the cause, if there was no answer
    keys: Mapping[str, str] = field(factory=dict)  # RFC 7638 thumbprints by `kid`
    clock_ahead_s: float | None = None  # how far the server's clock is ahead of ours, seconds


@frozen(kw_only=True)
class ClerkFacts:
    """The keys that are configured, and those that Clerk answers with."""

    pem_thumbprint: str | None  # of CLERK_JWT_KEY, when it is configured
    of_secret_key: KeySet | None = None  # the instance's keys, as the Backend API returns them for CLERK_SECRET_KEY
    published: KeySet | None = None  # the keys at CLERK_JWKS_URL, or at the publishable key's address

    @property
    def clock_ahead_s(self) -> float | None:
        answers = (self.published, self.of_secret_key)
        return next((answer.clock_ahead_s for answer in answers if answer and answer.clock_ahead_s is not None), None)


def clerk_findings(facts: ClerkFacts) -> Iterator[Finding]:
    yield from _secret_key(facts)
    yield from _key_set(facts)
    yield from _instance(facts)


def _secret_key(facts: ClerkFacts) -> Iterator[Finding]:
    answer = facts.of_secret_key
    if answer is None:
        return
    match answer.status:
        case 200:
            yield Finding("clerk secret key", Severity.OK, f"{answer.address} accepts it")
        case 401:
            says = f"{answer.address} refuses it (401): CLERK_SECRET_KEY is wrong, or was revoked"
            yield Finding("clerk secret key", Severity.FAILURE, says, "copy it again from Clerk dashboard > API keys")
        case status:
            says = f"{answer.address} cannot be asked: {answer.problem}"
            advice = "see status.clerk.com" if status else _advice(answer, "check CLERK_API_URL, and the network to it")
            yield Finding("clerk secret key", Severity.FAILURE, says, advice)


def _key_set(facts: ClerkFacts) -> Iterator[Finding]:
    answer = facts.published
    if answer is None:
        if facts.pem_thumbprint:
            says = "tokens are verified with CLERK_JWT_KEY alone; whether it is the instance's was not compared"
            yield Finding("signing keys", Severity.OK, says)
        return
    if not answer.problem:
        yield Finding("signing keys", Severity.OK, f"{len(answer.keys)} at {answer.address}")
    elif facts.pem_thumbprint:
        says = f"{answer.address}: {answer.problem}; CLERK_JWT_KEY could not be compared with it"
        yield Finding("signing keys", Severity.WARNING, says, "tokens are verified without it; check the address")
    else:
        says = f"{answer.address}: {answer.problem}; no token can be verified"
        advice = "check CLERK_PUBLISHABLE_KEY or CLERK_JWKS_URL, and the network to it; or set CLERK_JWT_KEY"
        yield Finding("signing keys", Severity.FAILURE, says, _advice(answer, advice))


def _advice(answer: KeySet, otherwise: str) -> str:
    """Return what to do about a network failure that another address would not repair."""
    return answer.cause.advice if answer.cause in (Cause.PROXY, Cause.TLS) else otherwise


def _instance(facts: ClerkFacts) -> Iterator[Finding]:
    sets = {
        name: frozenset(answer.keys.values())
        for name, answer in (("CLERK_SECRET_KEY", facts.of_secret_key), ("the key set of tokens", facts.published))
        if answer is not None and not answer.problem
    }
    if facts.pem_thumbprint:
        sets["CLERK_JWT_KEY"] = frozenset({facts.pem_thumbprint})
    names = list(sets)
    apart = [(one, other) for at, one in enumerate(names) for other in names[at + 1 :] if not sets[one] & sets[other]]
    for one, other in apart:
        says = f"{one} and {other} are of different instances: they have no signing key in common"
        yield Finding("clerk instance", Severity.FAILURE, says, "take all CLERK_* from one instance in the dashboard")
    if len(names) > 1 and not apart:
        yield Finding("clerk instance", Severity.OK, f"{', '.join(names[:-1])} and {names[-1]} are of one instance")
