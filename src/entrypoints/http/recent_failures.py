"""Why requests fail, for the log, the metrics and /health: only what an operator can correct."""

from collections.abc import Callable

from attrs import define, evolve, field, frozen

from anomalyze_auth import KeysFault, KeysUnavailable, Reason, TokenRejected
from application.counting import counted
from application.errors import ForgedWebhookError, Forgery, UnavailableError
from application.failure import KEYS, TOKENS, WEBHOOKS, Cause, Failure
from entrypoints.observability import metrics

_FROM_THE_FUTURE = {Reason.TOKEN_NOT_ACTIVE_YET, Reason.TOKEN_ISSUED_IN_THE_FUTURE}
"""Reasons found after the signature: Clerk made the token, so the clocks differ. An expired token proves nothing."""

CAUSE_OF_KEYS = {KeysFault.PROXY: Cause.PROXY, KeysFault.TLS: Cause.TLS, KeysFault.OUT_OF_REACH: Cause.OUT_OF_REACH}

REMEMBERED_S = 600.0  # requests may stop before one succeeds: a failure that was not seen for so long counts as over


def failure_of(error: Exception) -> Failure | None:
    """Return what an operator can correct; None for an error that only the client can correct."""
    match error:
        case UnavailableError():
            return error.failure
        case ForgedWebhookError():
            return Failure(WEBHOOKS, error.forgery, str(error))
        case KeysUnavailable():
            return Failure(KEYS, CAUSE_OF_KEYS[error.cause], str(error))
        case TokenRejected() if error.reason in _FROM_THE_FUTURE:
            return Failure(TOKENS, Cause.CLOCK, "genuine, and of a time that this machine's clock has not reached")
    return None


def _is_proven(failure: Failure) -> bool:
    """Tell whether it is a failure of ours. Anybody can send a wrong signature; one of the wrong time is genuine."""
    return failure.subject != WEBHOOKS or failure.cause is Forgery.TIME


@frozen
class RecentFailure:
    failure: Failure
    proven: bool  # no client can have invented it
    count: int
    at: float

    def __str__(self) -> str:
        return f"{self.failure}, {counted(self.count, 'time')} since the last success"


@define
class RecentFailures:
    """The last failure of each subject, until a request succeeds: for /health, which asks the database alone."""

    clock: Callable[[], float]  # monotonic seconds
    _entries: dict[str, RecentFailure] = field(factory=dict, init=False)

    def failed(self, failure: Failure) -> None:
        before = self.of(failure.subject)
        proven, count = _is_proven(failure), 1
        if before is not None:
            count = before.count + 1
            if before.proven and not proven:
                failure, proven = before.failure, True
        self._entries[failure.subject] = RecentFailure(failure, proven, count, self.clock())

    def user_obtained(self) -> None:
        """Count a user who was obtained from Clerk: a webhook is missing, so those that were refused were Clerk's."""
        metrics.OBTAINED.inc()
        if entry := self._entries.get(WEBHOOKS):
            self._entries[WEBHOOKS] = evolve(entry, proven=True)

    def succeeded(self, subject: str) -> None:
        self._entries.pop(subject, None)

    def of(self, subject: str) -> RecentFailure | None:
        entry = self._entries.get(subject)
        return None if entry is None or self.clock() - entry.at > REMEMBERED_S else entry
