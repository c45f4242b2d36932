"""Why requests fail, in words for the log, the metrics and /health; what does not concern an operator has none."""

from collections.abc import Callable

from attrs import define, evolve, field, frozen

from anomalyze_auth import KeysFault, KeysUnavailable, Reason, TokenRejected
from application.counting import counted
from application.errors import (
    ClerkUnavailableError,
    ForgedWebhookError,
    Forgery,
    StoreUnavailableError,
)
from application.failure import CLERK, KEYS, POSTGRES, TOKENS, WEBHOOKS, Trouble, told
from entrypoints.observability import metrics

_FROM_THE_FUTURE = {Reason.TOKEN_NOT_ACTIVE_YET, Reason.TOKEN_ISSUED_IN_THE_FUTURE}
"""Told after the signature: Clerk made the token, so its clock is ahead of ours. One that has expired tells nothing."""

TROUBLE_OF_KEYS = {
    KeysFault.PROXY: Trouble.PROXY,
    KeysFault.TLS: Trouble.TLS,
    KeysFault.OUT_OF_REACH: Trouble.OUT_OF_REACH,
}

REMEMBERED_S = 600.0
"""Nobody says that Clerk is well again: a trouble that has not shown for so long is taken for over."""


@frozen(kw_only=True)
class Cause:
    subject: str
    """What is in trouble: one of the five of `application.failure`."""
    label: str
    """The same each time, and there are few of them: for metrics."""
    says: str
    """Holds no value, name or secret."""
    proven: bool = True
    """Whether it is a fault of ours; a wrong signature is, when it was Clerk who signed, which nobody can tell from
    the request: anybody can send one."""


def cause_of(error: Exception) -> Cause | None:
    """Return what an operator can mend; None for what is the client's own affair."""
    match error:
        case StoreUnavailableError():
            return Cause(subject=POSTGRES, label=told(POSTGRES, error.trouble), says=str(error))
        case ForgedWebhookError():
            label = told(WEBHOOKS, error.forgery)
            # With the wrong time it carries a signature of ours.
            return Cause(subject=WEBHOOKS, label=label, says=str(error), proven=error.forgery is Forgery.TIME)
        case ClerkUnavailableError():
            return Cause(subject=CLERK, label=told(CLERK, error.trouble), says=str(error))
        case KeysUnavailable():
            return Cause(subject=KEYS, label=told(KEYS, TROUBLE_OF_KEYS[error.cause]), says=str(error))
        case TokenRejected() if error.reason in _FROM_THE_FUTURE:
            says = "genuine, and of a time that this machine's clock has not reached"
            return Cause(subject=TOKENS, label=told(TOKENS, Trouble.CLOCK), says=says)
        case _:
            return None


@frozen
class _Entry:
    cause: Cause
    count: int
    at: float


@define
class RecentFailures:
    """What went wrong, and has not gone right since: for /health, which asks nobody but the database.

    `clock` gives seconds that only ever go forward.
    """

    clock: Callable[[], float]
    _entries: dict[str, _Entry] = field(factory=dict, init=False)

    def went_wrong(self, cause: Cause) -> None:
        before = self._recent(cause.subject)
        if before is None:
            self._entries[cause.subject] = _Entry(cause, 1, self.clock())
            return
        told = before.cause if before.cause.proven and not cause.proven else cause
        self._entries[cause.subject] = _Entry(told, before.count + 1, self.clock())

    def prove(self, subject: str) -> None:
        """Take what is held against it for a fault of ours: something else shows it too."""
        if entry := self._entries.get(subject):
            self._entries[subject] = evolve(entry, cause=evolve(entry.cause, proven=True))

    def went_right(self, subject: str) -> None:
        self._entries.pop(subject, None)

    def of(self, subject: str) -> str | None:
        """Say what is wrong with it, proven or not; None when nothing is."""
        entry = self._recent(subject)
        if entry is None:
            return None
        return f"{entry.cause.label}: {entry.cause.says} ({counted(entry.count, 'time')}, and never right since)"

    def label(self, subject: str) -> str:
        """Name what is wrong with it as the metrics do; empty when nothing is."""
        entry = self._recent(subject)
        return entry.cause.label if entry else ""

    def proven(self, subject: str) -> bool:
        """Whether something is wrong with it beyond what anybody could have made up."""
        entry = self._recent(subject)
        return entry is not None and entry.cause.proven

    def _recent(self, subject: str) -> _Entry | None:
        entry = self._entries.get(subject)
        return None if entry is None or self.clock() - entry.at > REMEMBERED_S else entry


def note_obtained(failures: RecentFailures) -> None:
    """Count a user who was obtained from Clerk: no webhook had told, so those that were refused were Clerk's."""
    metrics.count_obtained()
    failures.prove(WEBHOOKS)
