"""What can go wrong, in the application's words; entrypoints/http/problems.py maps each to an answer."""

from enum import StrEnum

from application.failure import Trouble


class ApplicationError(Exception):
    """One of the failures below, so that an entrypoint can tell the expected from a bug."""


class Forgery(StrEnum):
    """What speaks against a webhook; the value is a label of metrics."""

    MALFORMED = "malformed"
    SIGNATURE = "wrong signature"
    TIME = Trouble.CLOCK.value


class ForgedWebhookError(ApplicationError):
    """The signature is missing, malformed, expired or wrong: nobody we know sent this."""

    def __init__(self, message: str, forgery: Forgery = Forgery.MALFORMED) -> None:
        super().__init__(message)
        self.forgery = forgery


class UnusableWebhookError(ApplicationError):
    """Genuine, but it does not say what Clerk documents; the message names the field, never its value."""


class UserUnknownError(ApplicationError):
    """Neither we nor Clerk know this user, or Clerk cannot be asked."""


class UserDeletedError(ApplicationError):
    """The user was deleted; a token may outlive its user by a minute."""


class SessionRevokedError(ApplicationError):
    """The session of this token ended; the token may outlive it by a minute."""


class UserBannedError(ApplicationError):
    """Clerk says the user is banned."""


class StoreUnavailableError(ApplicationError):
    """PostgreSQL did not take it or did not answer in time; whether it was stored is unknown, trying again is safe."""

    def __init__(self, message: str, trouble: Trouble = Trouble.NO_ANSWER) -> None:
        super().__init__(message, trouble)
        self.trouble = trouble

    def __str__(self) -> str:
        return str(self.args[0])


class StoreBusyError(StoreUnavailableError):
    """The write queue is full: nothing was tried."""


class UnstorableError(ApplicationError):
    """PostgreSQL refuses this change whatever the time, so trying again is of no use."""


class ClerkUnavailableError(ApplicationError):
    """Clerk's API is out of reach, too slow or limiting us; the answer is not known."""

    def __init__(self, message: str, trouble: Trouble = Trouble.OUT_OF_REACH) -> None:
        super().__init__(message, trouble)
        self.trouble = trouble

    def __str__(self) -> str:
        return str(self.args[0])


class ClerkLimitedError(ClerkUnavailableError):
    """Clerk answers 429: we ask too much."""

    def __init__(self, message: str, *, retry_after_s: int) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class ClerkKeyRefusedError(ClerkUnavailableError):
    """Clerk does not take `CLERK_SECRET_KEY`, and no waiting mends that."""

    def __init__(self, message: str) -> None:
        super().__init__(message, Trouble.NOT_AUTHENTICATED)


class ClerkNotConfiguredError(ApplicationError):
    """There is no `CLERK_SECRET_KEY`, so Clerk cannot be asked for anything."""


class ClerkRefusedError(ApplicationError):
    """Clerk will not do it, whatever the time; the message holds Clerk's words, which name no secret."""

    def __init__(self, message: str, *, status: int, codes: tuple[str, ...]) -> None:
        super().__init__(message)
        self.status = status
        self.codes = codes


class SafetyStopError(ApplicationError):
    """Going on might delete users who are still there; the message says why, and nobody was deleted."""


class BrokerUnavailableError(ApplicationError):
    """Kafka is out of reach, or it refuses; the message says what. Only commands meet it: HTTP needs no Kafka."""

    def __init__(self, message: str, trouble: Trouble = Trouble.OUT_OF_REACH) -> None:
        super().__init__(message, trouble)
        self.trouble = trouble

    def __str__(self) -> str:
        return str(self.args[0])
