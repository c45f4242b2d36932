"""The one table of errors: which answer each of them gets, as RFC 9457 problem details."""

from collections.abc import Mapping
from typing import Any

import msgspec
from attrs import field, frozen
from litestar.exceptions import HTTPException

from anomalyze_auth import KeysUnavailable, OriginRefused, TokenRejected
from application import errors as application
from entrypoints.http import errors as http

MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:anomalyze:auth:problem:"

LONGEST_RETRY_AFTER_S = 300
"""What Clerk may make our clients wait; whatever it says, it is worth asking again by then."""

_INVALID_TOKEN = {"www-authenticate": 'Bearer error="invalid_token", error_description="{}"'}


@frozen(kw_only=True)
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


def _retry(seconds: int) -> dict[str, str]:
    return {"retry-after": str(seconds)}


_CLOSE = {"connection": "close"}  # this client sends more than it is to, or for longer

TABLE: dict[type[Exception], Problem] = {
    application.ForgedWebhookError: Problem(
        status=400,
        code="webhook-not-genuine",
        title="Webhook signature not valid",
        detail="The Svix signature headers are missing, malformed, expired or do not match this body and secret.",
    ),
    http.VerifyQueryError: Problem(
        status=400,
        code="verify-query-not-valid",
        title="Query not valid",
        detail="`active` and `in_person` take `true` and nothing else; leave them out for no such check.",
    ),
    http.IdentityHeaderNamedError: Problem(
        status=400,
        code="identity-header-named",
        title="Connection header refused",
        detail="The Connection header names an identity header, so that a proxy would drop it.",
    ),
    http.ClientDisconnectedError: Problem(
        status=400, code="client-disconnected", title="Request incomplete", detail="The request ended too early."
    ),
    http.TokenMissingError: Problem(
        status=401,
        code="token-missing",
        title="Session token missing",
        detail="Send the session token as `Authorization: Bearer …` or, where authorized parties are configured, in "
        "the cookie `__session`.",
        headers={"www-authenticate": "Bearer"},
    ),
    TokenRejected: Problem(
        status=401,
        code="token-not-valid",
        title="Session token not valid",
        detail="{}",
        headers=_INVALID_TOKEN,
    ),
    http.CredentialsMissingError: Problem(
        status=401,
        code="credentials-missing",
        title="Credentials missing",
        detail="Send a session token or a service key as `Authorization: Bearer …`; the cookie is not looked at here.",
        headers={"www-authenticate": "Bearer"},
    ),
    http.ServiceKeyRejectedError: Problem(
        status=401,
        code="service-key-not-valid",
        title="Service key not valid",
        detail="No configured key is this one.",
        headers={"www-authenticate": _INVALID_TOKEN["www-authenticate"].format("No configured key is this one.")},
    ),
    application.UserDeletedError: Problem(
        status=401,
        code="user-deleted",
        title="User deleted",
        detail="The user of this token was deleted.",
        headers={"www-authenticate": _INVALID_TOKEN["www-authenticate"].format("The user of this token was deleted.")},
    ),
    application.SessionRevokedError: Problem(
        status=401,
        code="session-revoked",
        title="Session revoked",
        detail="The session of this token ended.",
        headers={"www-authenticate": _INVALID_TOKEN["www-authenticate"].format("The session of this token ended.")},
    ),
    application.UserBannedError: Problem(
        status=403, code="user-banned", title="User banned", detail="The user of this token is banned."
    ),
    http.NotAdmittedError: Problem(
        status=403, code="user-not-admitted", title="User not admitted", detail="The user of this token is not known."
    ),
    http.PermissionMissingError: Problem(
        status=403,
        code="permission-missing",
        title="Permission missing",
        detail="The session token does not carry the permission to manage users, or not for an organization that may.",
    ),
    http.ScopeMissingError: Problem(
        status=403,
        code="scope-missing",
        title="Service key lacks the scope",
        detail="The service key was not made for this; `auth-service service-key new --scope` makes one that is.",
        headers={"www-authenticate": 'Bearer error="insufficient_scope"'},
    ),
    OriginRefused: Problem(
        status=403,
        code="origin-refused",
        title="Origin refused",
        detail="A page of this origin may not use the session cookie.",
    ),
    http.ImpersonatedError: Problem(
        status=403,
        code="impersonation-refused",
        title="Impersonated session",
        detail="Somebody else acts in this session, and this needs the user in person.",
    ),
    application.UserUnknownError: Problem(
        status=404, code="user-unknown", title="User unknown", detail="The user is not known (yet)."
    ),
    http.BodyTooSlowError: Problem(
        status=408,
        code="body-too-slow",
        title="Request body too slow",
        detail="The body did not arrive in time.",
        headers=_CLOSE,
    ),
    http.UserGoneError: Problem(
        status=410, code="user-gone", title="User gone", detail="The user was deleted, for ever."
    ),
    http.BodyTooLargeError: Problem(
        status=413,
        code="body-too-large",
        title="Request body too large",
        detail="The body is longer than this route takes.",
        headers=_CLOSE,
    ),
    http.QueryTooLongError: Problem(
        status=414, code="query-too-long", title="Query too long", detail="The query exceeds a bound: {}."
    ),
    http.HeadTooLargeError: Problem(
        status=431, code="head-too-large", title="Request head too large", detail="The headers exceed a bound: {}."
    ),
    application.UnusableWebhookError: Problem(
        status=422, code="webhook-not-usable", title="Webhook payload not usable", detail="{}"
    ),
    http.RequestNotValidError: Problem(status=422, code="request-not-valid", title="Request not valid", detail="{}"),
    application.ClerkRefusedError: Problem(
        status=422, code="identity-provider-refused", title="Clerk refuses", detail="{}"
    ),
    application.UnstorableError: Problem(
        status=422, code="not-storable", title="Change not storable", detail="The database refuses this content."
    ),
    application.SafetyStopError: Problem(
        status=409,
        code="safety-stop",
        title="Nobody was deleted",
        detail="Clerk knows none of our users, so its word that this one is gone is not taken.",
    ),
    application.ClerkNotConfiguredError: Problem(
        status=501,
        code="identity-provider-not-configured",
        title="Clerk not configured",
        detail="This service has no CLERK_SECRET_KEY, so it can do nothing at Clerk.",
    ),
    http.BodyShedError: Problem(
        status=503,
        code="body-shed",
        title="Too many request bodies at once",
        detail="The body was given up to make room for others; sending it again is safe.",
        headers={**_retry(1), **_CLOSE},
    ),
    application.StoreBusyError: Problem(
        status=503,
        code="store-busy",
        title="Too many changes at once",
        detail="Nothing was stored; send it again.",
        headers=_retry(1),
    ),
    application.StoreUnavailableError: Problem(
        status=503,
        code="store-unavailable",
        title="Database out of reach",
        detail="The database does not answer; sending it again is safe.",
        headers=_retry(5),
    ),
    application.ClerkUnavailableError: Problem(
        status=503,
        code="identity-provider-unavailable",
        title="Clerk out of reach",
        detail="Clerk does not answer; asking again is safe.",
        headers=_retry(5),
    ),
    application.ClerkLimitedError: Problem(
        status=503,
        code="identity-provider-limited",
        title="Clerk limits us",
        detail="Clerk takes no more requests until Retry-After has passed; asking again then is safe.",
        headers=_retry(5),
    ),
    application.ClerkKeyRefusedError: Problem(
        status=503,
        code="identity-provider-key-refused",
        title="Clerk refuses our key",
        detail="Clerk does not take the CLERK_SECRET_KEY of this service; whoever runs it has to set the right one.",
        headers=_retry(60),
    ),
    http.NotReadyError: Problem(
        status=503,
        code="not-ready",
        title="Not ready",
        detail="A dependency cannot be used; `checks` says which, and `causes` why.",
        headers=_retry(5),
    ),
    KeysUnavailable: Problem(
        status=503,
        code="keys-unavailable",
        title="Signing keys out of reach",
        detail="No token can be verified at the moment.",
        headers=_retry(5),
    ),
}

INTERNAL = Problem(
    status=500, code="internal-error", title="Internal error", detail="Something is wrong on our side; it was logged."
)

BAD_REQUEST = Problem(status=400, code="bad-request", title="Bad request", detail="The request cannot be understood.")

_BY_STATUS: dict[int, Problem] = {
    404: Problem(status=404, code="not-found", title="Not found", detail="There is nothing at this path."),
    405: Problem(
        status=405, code="method-not-allowed", title="Method not allowed", detail="The Allow header says what is."
    ),
}
"""What the router itself raises."""


def problem_of(error: Exception) -> Problem:
    """Return the answer to an error; whatever is not in the table is ours, and its text is not shown."""
    if isinstance(error, HTTPException):
        return _BY_STATUS.get(error.status_code, INTERNAL if error.status_code >= 500 else BAD_REQUEST)  # noqa: PLR2004
    for kind in type(error).__mro__:
        if kind in TABLE:
            return TABLE[kind]
    return INTERNAL


def answer(error: Exception) -> tuple[Problem, dict[str, str], bytes]:
    """Return the problem, the headers and the body of the answer to an error."""
    problem = problem_of(error)
    document: dict[str, Any] = {"type": problem.type, "title": problem.title, "status": problem.status}
    document |= {"code": problem.code, "detail": problem.detail}
    headers = {"content-type": MEDIA_TYPE, "cache-control": "no-store", **problem.headers}
    match error:
        case TokenRejected():
            document |= {"detail": error.description, "reason": error.reason}
            headers["www-authenticate"] = headers["www-authenticate"].format(error.description)
        case http.QueryTooLongError() | http.HeadTooLargeError():
            document["detail"] = problem.detail.format(error)
        case application.UnusableWebhookError() | http.RequestNotValidError():
            document["detail"] = str(error)
        case application.ClerkRefusedError():
            document |= {"detail": str(error), "codes": error.codes}
        case application.ClerkLimitedError():
            headers |= _retry(min(max(error.retry_after_s, 1), LONGEST_RETRY_AFTER_S))
        case http.NotReadyError():
            document |= {"checks": error.checks, "causes": error.causes, "labels": error.labels}
        case HTTPException(headers=dict(extra)):
            headers |= {name: value for name, value in extra.items() if name.lower() == "allow"}
    return problem, headers, msgspec.json.encode(document)
