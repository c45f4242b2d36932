"""The errors of verification: a refusal (`TokenRejected`, `OriginRefused`) or a failure (`…Unavailable`)."""

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


class TokenRejected(Exception):  # noqa: N818  (a decision, not an error)
    """The token is not a valid session token, or was revoked: answer 401 (403 for `USER_BANNED`).

    Attributes:
        reason: stable and machine-readable.
        description: one ASCII sentence without quotes or backslashes, made of constants only, so it
            can be the `error_description` of WWW-Authenticate (RFC 6750 section 3). Never contains the token.
    """

    def __init__(self, reason: Reason, description: str) -> None:
        super().__init__(f"{reason}: {description}")
        self.reason = reason
        self.description = description


class OriginRefused(Exception):  # noqa: N818  (a decision, not an error)
    """The session cookie was sent by a page of another origin: answer 403."""


class KeysFault(StrEnum):
    """Why the signing keys could not be fetched, as far as an operator would act on it differently."""

    PROXY = "proxy"  # the configured HTTP proxy refused
    TLS = "tls"  # the server's certificate was refused, or the TLS handshake failed
    OUT_OF_REACH = "out-of-reach"  # anything else: no connection, no answer in time, an answer that is not a key set


class KeysUnavailable(Exception):  # noqa: N818  (reads as what it says)
    """The token cannot be verified because the signing keys are unavailable: answer 503, not 401.

    Attributes:
        cause: why; the message has the details.
    """

    def __init__(self, message: str, cause: KeysFault = KeysFault.OUT_OF_REACH) -> None:
        super().__init__(message, cause)
        self.cause = cause

    def __str__(self) -> str:
        return str(self.args[0])


class RevocationsUnavailable(Exception):  # noqa: N818  (reads as what it says)
    """The token is valid, but whether it was revoked is not known: answer 503, not 401.

    Raised by `Revocations(when_stale="refuse")` while it is out of date. The message says why.
    """
