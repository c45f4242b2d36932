"""The answers to refused callers, as RFC 9457 problem details."""

import json

import attrs

from anomalyze_auth.errors import KeysUnavailable, OriginRefused, Reason, RevocationsUnavailable, TokenRejected

TYPE_PREFIX = "urn:anomalyze:auth:problem:"


@attrs.frozen(kw_only=True)
class Problem:
    """One answer. `type`, `status`, `code` and `title` are stable; `reason` is why a token was rejected."""

    status: int
    code: str
    title: str
    detail: str
    reason: str | None = None
    challenge: str | None = None
    retry_after_seconds: int | None = None

    @property
    def type(self) -> str:
        return TYPE_PREFIX + self.code

    def body(self) -> bytes:
        document = {
            "type": self.type,
            "title": self.title,
            "status": self.status,
            "code": self.code,
            "detail": self.detail,
        }
        if self.reason is not None:
            document["reason"] = self.reason
        return json.dumps(document).encode()

    def headers(self) -> dict[str, str]:
        headers = {"content-type": "application/problem+json", "cache-control": "no-store"}
        if self.challenge is not None:
            headers["www-authenticate"] = self.challenge
        if self.retry_after_seconds is not None:
            headers["retry-after"] = str(self.retry_after_seconds)
        return headers


class Refused(Exception):  # noqa: N818  (a decision, not an error)
    """The caller is refused; `AuthMiddleware` sends the problem as the answer."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.code)
        self.problem = problem


def _forbidden(code: str, title: str, detail: str) -> Problem:
    challenge = f'Bearer error="insufficient_scope", error_description="{detail}"'
    return Problem(status=403, code=code, title=title, detail=detail, challenge=challenge)


def _signed_out(code: str, title: str, detail: str) -> Problem:
    return Problem(status=401, code=code, title=title, detail=detail, challenge=_invalid_token(detail))


def _invalid_token(description: str) -> str:
    return f'Bearer error="invalid_token", error_description="{description}"'


PATH_AMBIGUOUS = Problem(
    status=400,
    code="path-ambiguous",
    title="Path ambiguous",
    detail="Programs differ in how they read this path; send it without what makes it so.",
)
# RFC 6750 section 3: a request without any credentials gets no error code.
TOKEN_MISSING = Problem(
    status=401,
    code="token-missing",
    title="Session token missing",
    detail="Send the session token as `Authorization: Bearer …` or in the cookie `__session`.",
    challenge="Bearer",
)
KEYS_UNAVAILABLE = Problem(
    status=503,
    code="keys-unavailable",
    title="Signing keys out of reach",
    detail="No token can be verified at the moment.",
    retry_after_seconds=5,
)
REVOCATIONS_UNAVAILABLE = Problem(
    status=503,
    code="revocations-unavailable",
    title="Revocations out of reach",
    detail="It is not known at the moment whether the session was revoked.",
    retry_after_seconds=5,
)
SESSION_REVOKED = _signed_out("session-revoked", "Session revoked", "The session of this token was ended.")
USER_DELETED = _signed_out("user-deleted", "User deleted", "The user of this token was deleted.")
USER_BANNED = Problem(status=403, code="user-banned", title="User banned", detail="The user of this token is banned.")
REVOKED = {
    Reason.SESSION_REVOKED: SESSION_REVOKED,
    Reason.USER_DELETED: USER_DELETED,
    Reason.USER_BANNED: USER_BANNED,
}
FORBIDDEN = {
    problem.code: problem
    for problem in (
        _forbidden("organization-required", "Organization required", "This needs another active organization."),
        _forbidden("role-required", "Role required", "This needs a role that the caller does not have."),
        _forbidden(
            "permission-required", "Permission required", "This needs a permission that the caller does not have."
        ),
        _forbidden("impersonation-refused", "Impersonation refused", "This cannot be done on behalf of a user."),
        _forbidden("origin-refused", "Origin refused", "A page of this origin may not use the session cookie."),
    )
}


def problem_of(error: TokenRejected | OriginRefused | KeysUnavailable | RevocationsUnavailable) -> Problem:
    """The answer to a caller whose credentials are not accepted."""
    if isinstance(error, KeysUnavailable):
        return KEYS_UNAVAILABLE
    if isinstance(error, RevocationsUnavailable):
        return REVOCATIONS_UNAVAILABLE
    if isinstance(error, OriginRefused):
        return FORBIDDEN["origin-refused"]
    if error.reason in REVOKED:
        return REVOKED[error.reason]
    return Problem(
        status=401,
        code="token-not-valid",
        title="Session token not valid",
        detail=error.description,
        reason=error.reason,
        challenge=_invalid_token(error.description),
    )
