"""Why requests fail, in words for the log, the metrics and /health; what does not concern an operator has none."""

from collections.abc import Callable

from attrs import define, evolve, field, frozen

from anomalyze_auth import KeysUnavailable
from application.counting import counted
from application.errors import (
    ForgedWebhookError,
    IdentityProviderKeyRefusedError,
    IdentityProviderUnavailableError,
    StoreUnavailableError,
)
from application.trouble import Trouble, told

POSTGRES, WEBHOOKS, CLERK, KEYS = "PostgreSQL", "webhook", "Clerk", "signing keys"

REMEMBERED_S = 600.0
"""Nobody says that Clerk is well again: a trouble that has not shown for so long is taken for over."""


@frozen(kw_only=True)
class Cause:
    subject: str
    """What is in trouble: one of the four above."""
    label: str
    """The same each time, and there are few of them: for metrics."""
    says: str
    """Holds no value, name or secret."""


def cause_of(error: Exception) -> Cause | None:
    """Return what an operator can mend; None for what is the client's own affair."""
    match error:
        case StoreUnavailableError():
            return Cause(subject=POSTGRES, label=told(POSTGRES, error.trouble), says=str(error))
        case ForgedWebhookError():
            return Cause(subject=WEBHOOKS, label=told(WEBHOOKS, error.forgery), says=str(error))
        case IdentityProviderKeyRefusedError():
            return _of_clerk(Trouble.NOT_AUTHENTICATED, error)
        case IdentityProviderUnavailableError():
            return _of_clerk(Trouble.OUT_OF_REACH, error)
        case KeysUnavailable():
            return Cause(subject=KEYS, label=told(KEYS, Trouble.OUT_OF_REACH), says=str(error))
        case _:
            return None


def _of_clerk(trouble: Trouble, error: Exception) -> Cause:
    return Cause(subject=CLERK, label=told(CLERK, trouble), says=str(error))


@frozen
class _Entry:
    cause: Cause
    count: int
    at: float


@define
class Troubles:
    """What went wrong, and has not gone right since: for /health, which asks nobody but the database.

    `clock` gives seconds that only ever go forward.
    """

    clock: Callable[[], float]
    _entries: dict[str, _Entry] = field(factory=dict, init=False)

    def went_wrong(self, cause: Cause) -> None:
        before = self._entries.get(cause.subject)
        entry = _Entry(cause, 1, self.clock())
        self._entries[cause.subject] = evolve(entry, count=before.count + 1) if before else entry

    def went_right(self, subject: str) -> None:
        self._entries.pop(subject, None)

    def of(self, subject: str) -> str | None:
        """Say what is wrong with it; None when nothing is."""
        entry = self._entries.get(subject)
        if entry is None or self.clock() - entry.at > REMEMBERED_S:
            return None
        return f"{entry.cause.label}: {entry.cause.says} ({counted(entry.count, 'time')}, and never right since)"
