"""Every problem that a request can be answered with (RFC 9457), and the one table of errors that mean one."""

from collections.abc import Mapping
from typing import Any

import msgspec
from attrs import field, frozen
from litestar.exceptions import HTTPException

from anomalyze_auth import KeysUnavailable, OriginRefused, TokenRejected
from anomalyze_auth import problems as sdk
from application import errors as application
from entrypoints.http.plain_response import PlainResponse

MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:anomalyze:auth:problem:"

LONGEST_RETRY_AFTER_S = 300  # what Clerk may make our clients wait; whatever it says, it is worth asking again by then

_INVALID_TOKEN = {"www-authenticate": 'Bearer error="invalid_token", error_description="{}"'}


@frozen(eq=False)
class Problem:
    """One kind of answer; `type`, `status`, `code` and `title` never change for a kind."""

    status: int
    code: str
    title: str
    detail: str
    headers: Mapping[str, str] = field(factory=dict)

    @property
    def type(self) -> str:
        return TYPE_PREFIX + self.code


class HttpError(Exception):
    """What is wrong with a request before a use case sees it, or with the process that it meets.

    Args:
        problem: the answer.
        text: stands in the answer's `detail` where it has a place for it; names a place or a bound, never a value.
        members: the document's further members.
    """

    def __init__(self, problem: Problem, text: str = "", **members: Mapping[str, str]) -> None:
        super().__init__(text or problem.code)
        self.problem = problem
        self.members = members


def _retry(seconds: int) -> dict[str, str]:
    return {"retry-after": str(seconds)}


def _of_sdk(known: sdk.Problem) -> Problem:
    """Return a problem that services with the SDK answer as well."""
    challenge = {"www-authenticate": known.challenge} if known.challenge else {}
    return Problem(known.status, known.code, known.title, known.detail, challenge)


_CLOSE = {"connection": "close"}  # this client sends more than it is to, or for longer

# A row is two lines: status, code and title; detail and headers.
# fmt: off
# What is raised as an `HttpError`.
VERIFY_QUERY = Problem(400, "verify-query-not-valid", "Query not valid",
    "`active`, `in_person` and `cacheable` take `true` and nothing else, and `min_version` needs `active`.")
MIN_VERSION_NOT_VALID = Problem(400, "min-version-not-valid", "Query not valid",
    "`min_version` must be one positive integer.")
IDENTITY_HEADER_NAMED = Problem(400, "identity-header-named", "Connection header refused",
    "The Connection header names an identity header, so that a proxy would drop it.")
CLIENT_DISCONNECTED = Problem(400, "client-disconnected", "Request incomplete",
    "The request ended too early.")
TOKEN_MISSING = Problem(401, "token-missing", "Session token missing",
    "Send the session token as `Authorization: Bearer …` or, where authorized parties are configured, in "
    "the cookie `__session`.", {"www-authenticate": "Bearer"})
CREDENTIALS_MISSING = Problem(401, "credentials-missing", "Credentials missing",
    "Send a session token or a service key as `Authorization: Bearer …`; cookies are not read.",
    {"www-authenticate": "Bearer"})
SERVICE_KEY_NOT_VALID = Problem(401, "service-key-not-valid", "Service key not valid",
    "No configured key is this one.",
    {"www-authenticate": _INVALID_TOKEN["www-authenticate"].format("No configured key is this one.")})
NOT_ADMITTED = Problem(403, "user-not-admitted", "User not admitted",
    "The user of this token is not known.")
PERMISSION_MISSING = Problem(403, "permission-missing", "Permission missing",
    "The session token lacks the permission to manage users, or its organization is not allowed to.")
SCOPE_MISSING = Problem(403, "scope-missing", "Service key lacks the scope",
    "The service key does not have this scope; create one with `auth-service service-key new --scope`.",
    {"www-authenticate": 'Bearer error="insufficient_scope"'})
IMPERSONATED = Problem(403, "impersonation-refused", "Impersonated session",
    "The session is impersonated, which is not allowed here.")
BODY_TOO_SLOW = Problem(408, "body-too-slow", "Request body too slow",
    "The body did not arrive in time, or came in too many small pieces.", _CLOSE)
USER_GONE = Problem(410, "user-gone", "User gone", "The user was deleted permanently.")
BODY_TOO_LARGE = Problem(413, "body-too-large", "Request body too large",
    "The body is longer than this route accepts.", _CLOSE)
QUERY_TOO_LONG = Problem(414, "query-too-long", "Query too long", "The query exceeds a bound: {}.")
HEAD_TOO_LARGE = Problem(431, "head-too-large", "Request head too large", "The headers exceed a bound: {}.")
REQUEST_NOT_VALID = Problem(422, "request-not-valid", "Request not valid", "{}")
BODY_SHED = Problem(503, "body-shed", "Too many request bodies at once",
    "The body was dropped to free memory for others; sending it again is safe.", {**_retry(1), **_CLOSE})
NOT_READY = Problem(503, "not-ready", "Not ready",
    "A dependency cannot be used; `checks` says which, and `causes` why.", _retry(5))

TABLE: dict[type[Exception], Problem] = {
    application.ForgedWebhookError: Problem(400, "webhook-not-genuine", "Webhook signature not valid",
        "The Svix signature headers are missing, malformed, expired or do not match this body and secret."),
    TokenRejected: Problem(401, "token-not-valid", "Session token not valid", "{}", _INVALID_TOKEN),
    application.UserDeletedError: _of_sdk(sdk.USER_DELETED),
    application.SessionRevokedError: _of_sdk(sdk.SESSION_REVOKED),
    application.UserBannedError: _of_sdk(sdk.USER_BANNED),
    OriginRefused: Problem(403, "origin-refused", "Origin refused",
        "A page of this origin may not use the session cookie."),
    application.UserUnknownError: Problem(404, "user-unknown", "User unknown", "The user is not known (yet)."),
    application.UnusableWebhookError: Problem(422, "webhook-not-usable", "Webhook payload not usable", "{}"),
    application.ClerkRefusedError: Problem(422, "identity-provider-refused", "Clerk refuses", "{}"),
    application.UnstorableError: Problem(422, "not-storable", "Change not storable",
        "The database refuses this content."),
    application.SafetyStopError: Problem(409, "safety-stop", "Nobody was deleted",
        "Clerk has none of our users, so its answer that this user does not exist is not trusted."),
    application.VersionNotReachedError: Problem(409, "version-not-reached", "Version not reached",
        "The stored version of the user is older than `min_version`."),
    application.ClerkNotConfiguredError: Problem(501, "identity-provider-not-configured", "Clerk not configured",
        "This service has no CLERK_SECRET_KEY, so it can do nothing at Clerk."),
    application.StoreBusyError: Problem(503, "store-busy", "Too many changes at once",
        "Nothing was stored; send it again.", _retry(1)),
    application.StoreUnavailableError: Problem(503, "store-unavailable", "Database out of reach",
        "The database does not answer; sending it again is safe.", _retry(5)),
    application.ClerkUnavailableError: Problem(503, "identity-provider-unavailable", "Clerk out of reach",
        "Clerk does not answer; asking again is safe.", _retry(5)),
    application.ClerkLimitedError: Problem(503, "identity-provider-limited", "Clerk limits us",
        "Clerk's rate limit is reached until Retry-After has passed; retrying then is safe.", _retry(5)),
    application.ClerkKeyRefusedError: Problem(503, "identity-provider-key-refused", "Clerk refuses our key",
        "Clerk does not accept the CLERK_SECRET_KEY of this service; its operator must set the right one.", _retry(60)),
    KeysUnavailable: Problem(503, "keys-unavailable", "Signing keys out of reach",
        "No token can be verified at the moment.", _retry(5)),
}
# fmt: on

INTERNAL = Problem(500, "internal-error", "Internal error", "The service has an internal error; it was logged.")

BAD_REQUEST = Problem(400, "bad-request", "Bad request", "The request cannot be understood.")

_BY_STATUS: dict[int, Problem] = {
    404: Problem(404, "not-found", "Not found", "There is nothing at this path."),
    405: Problem(405, "method-not-allowed", "Method not allowed", "The Allow header lists the allowed methods."),
}
"""What the router itself raises."""


def problem_of(error: Exception) -> Problem:
    """Return the answer to an error; whatever is not in the table is ours, and its text is not shown."""
    if isinstance(error, HttpError):
        return error.problem
    if isinstance(error, HTTPException):
        return _BY_STATUS.get(error.status_code, INTERNAL if error.status_code >= 500 else BAD_REQUEST)  # noqa: PLR2004
    return TABLE.get(type(error), INTERNAL)


def response_to(error: Exception) -> PlainResponse[Any]:
    problem = problem_of(error)
    document: dict[str, Any] = {"type": problem.type, "title": problem.title, "status": problem.status}
    document |= {"code": problem.code, "detail": problem.detail.format(error)}
    headers = {"content-type": MEDIA_TYPE, "cache-control": "no-store", **problem.headers}
    match error:
        case TokenRejected():
            document |= {"detail": error.description, "reason": error.reason}
            headers["www-authenticate"] = headers["www-authenticate"].format(error.description)
        case HttpError():
            document |= error.members
        case application.ClerkRefusedError():
            document["codes"] = error.codes
        case application.ClerkLimitedError():
            headers |= _retry(min(max(error.retry_after_s, 1), LONGEST_RETRY_AFTER_S))
        case HTTPException(headers=dict(extra)):
            headers |= {name: value for name, value in extra.items() if name.lower() == "allow"}
    raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    return PlainResponse(msgspec.json.encode(document), raw, status=problem.status)
