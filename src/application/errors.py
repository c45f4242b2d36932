"""The errors that use cases raise; entrypoints/http/problems.py maps each to an answer."""

from enum import StrEnum
from typing import ClassVar

from application.failure import CLERK, KAFKA, POSTGRES, Cause, Failure


class ApplicationError(Exception):
    """The base of the errors below, by which an entrypoint tells an expected failure from a bug."""


class Forgery(StrEnum):
    """Why a webhook is not genuine; the value is a label of metrics."""

    MALFORMED = "malformed"
    SIGNATURE = "wrong signature"
    TIME = Cause.CLOCK.value


class ForgedWebhookError(ApplicationError):
    """The signature is missing, malformed, expired or wrong."""

    def __init__(self, message: str, forgery: Forgery = Forgery.MALFORMED) -> None:
        super().__init__(message)
        self.forgery = forgery


class UnusableWebhookError(ApplicationError):
    """Genuine, but not as Clerk documents it; the message names the field, never its value."""


class UserUnknownError(ApplicationError):
    """Neither we nor Clerk know this user, or Clerk cannot be asked."""


class UserDeletedError(ApplicationError):
    """The user was deleted; a token is valid for up to a minute after that."""


class SessionRevokedError(ApplicationError):
    """The session of this token ended; the token is valid for up to a minute after that."""


class UserBannedError(ApplicationError):
    """Clerk says the user is banned."""


class VersionNotReachedError(ApplicationError):
    """The primary has an older version of the user than the caller has seen, as the caller says."""


class UnavailableError(ApplicationError):
    """A system that this service depends on cannot be used; `failure` is which one, and why."""

    SUBJECT: ClassVar[str]
    CAUSE: ClassVar[Cause] = Cause.OUT_OF_REACH

    def __init__(self, detail: str = "", cause: StrEnum | None = None) -> None:
        super().__init__(detail, cause)
        self.failure = Failure(self.SUBJECT, cause or self.CAUSE, detail)

    def __str__(self) -> str:
        return str(self.failure)


class StoreUnavailableError(UnavailableError):
    """PostgreSQL refused, or did not answer in time; whether it was stored is unknown; a retry is safe."""

    SUBJECT = POSTGRES
    CAUSE = Cause.NO_ANSWER


class StoreBusyError(StoreUnavailableError):
    """The write queue is full: nothing was tried."""

    CAUSE = Cause.BUSY


class UnstorableError(ApplicationError):
    """PostgreSQL refuses this change permanently; a retry does not help."""


class ClerkUnavailableError(UnavailableError):
    """Clerk's API cannot be reached, is too slow or limits requests; the answer is not known."""

    SUBJECT = CLERK


class ClerkLimitedError(ClerkUnavailableError):
    """Clerk answers 429: too many requests."""

    CAUSE = Cause.RATE_LIMITED

    def __init__(self, detail: str = "", *, retry_after_s: int) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


class ClerkKeyRefusedError(ClerkUnavailableError):
    """Clerk does not accept `CLERK_SECRET_KEY`; waiting does not help."""

    CAUSE = Cause.NOT_AUTHENTICATED


class ClerkNotConfiguredError(ApplicationError):
    """There is no `CLERK_SECRET_KEY`, so Clerk cannot be asked for anything."""


class ClerkRefusedError(ApplicationError):
    """Clerk refuses permanently; the message contains Clerk's own text, which names no secret."""

    def __init__(self, message: str, *, status: int, codes: tuple[str, ...]) -> None:
        super().__init__(message)
        self.status = status
        self.codes = codes


class SafetyStopError(ApplicationError):
    """To continue might delete users whom Clerk still has; the message says why, and no user was deleted."""


class BrokerUnavailableError(UnavailableError):
    """Kafka cannot be reached, or refuses. Only commands and relays raise it: HTTP needs no Kafka."""

    SUBJECT = KAFKA
