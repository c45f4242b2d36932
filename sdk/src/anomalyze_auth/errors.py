"""What can go wrong: a verdict (`TokenRejected`, `OriginRefused`) or a fault of ours (those named `…Unavailable`)."""

from enum import StrEnum


class Reason(StrEnum):
    """Why a token was refused. The values are stable: alert, count and branch on them."""

    TOKEN_MALFORMED = "token-malformed"
    TOKEN_TOO_LARGE = "token-too-large"
    TOKEN_INVALID_ALGORITHM = "token-invalid-algorithm"
    UNSUPPORTED_HEADER = "unsupported-header"
    WRONG_TOKEN_TYPE = "wrong-token-type"
    UNKNOWN_KEY = "unknown-key"
    TOKEN_INVALID_SIGNATURE = "token-invalid-signature"
    CLAIM_MISSING = "claim-missing"
    CLAIM_INVALID = "claim-invalid"
    TOKEN_EXPIRED = "token-expired"
    TOKEN_NOT_ACTIVE_YET = "token-not-active-yet"
    TOKEN_ISSUED_IN_THE_FUTURE = "token-issued-in-the-future"
    ISSUER_MISMATCH = "issuer-mismatch"
    AUTHORIZED_PARTY_MISMATCH = "authorized-party-mismatch"
    AUDIENCE_MISMATCH = "audience-mismatch"
    SESSION_PENDING = "session-pending"
    SESSION_REVOKED = "session-revoked"
    USER_DELETED = "user-deleted"
    USER_BANNED = "user-banned"


class TokenRejected(Exception):  # noqa: N818  (a verdict, not an error)
    """The token is not a valid session token of ours, or was taken back: answer 401 (403 for `USER_BANNED`).

    Attributes:
        reason: stable machine-readable verdict.
        description: one ASCII sentence without quotes or backslashes, made of constants only, so it
            fits `error_description` of WWW-Authenticate (RFC 6750 section 3). Never holds the token.
    """

    def __init__(self, reason: Reason, description: str) -> None:
        super().__init__(f"{reason}: {description}")
        self.reason = reason
        self.description = description


class OriginRefused(Exception):  # noqa: N818  (a verdict, not an error)
    """A page of another origin uses the session cookie: answer 403."""


class KeysFault(StrEnum):
    """Why the signing keys could not be fetched, as far as an operator would act differently."""

    PROXY = "proxy"
    """The proxy in between refused."""
    TLS = "tls"
    """The server's certificate was refused, or there was no common TLS."""
    OUT_OF_REACH = "out-of-reach"
    """Anything else: no connection, no answer in time, an answer that is no key set."""


class KeysUnavailable(Exception):  # noqa: N818  (reads as what it says)
    """No verdict is possible because the signing keys are out of reach: answer 503, not 401.

    Attributes:
        cause: why; the text says more.
    """

    def __init__(self, message: str, cause: KeysFault = KeysFault.OUT_OF_REACH) -> None:
        super().__init__(message, cause)
        self.cause = cause

    def __str__(self) -> str:
        return str(self.args[0])


class RevocationsUnavailable(Exception):  # noqa: N818  (reads as what it says)
    """The token is valid, and whether it was taken back is not known: answer 503, not 401.

    Raised by `Revocations` that are out of date and were told to refuse then. The text says why.
    """
