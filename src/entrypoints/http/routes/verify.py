"""`/v1/verify` and `/v1/ext-authz/*`: forward auth for nginx, Traefik, Caddy and Envoy."""

import re
import time
from collections.abc import Awaitable, Iterable
from difflib import get_close_matches
from typing import Any
from urllib.parse import unquote_plus

from attrs import frozen
from litestar import Request, Response, get
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Receive, Scope, Send

from anomalyze_auth import Authenticated, Reason, TokenRejected
from application.errors import UserUnknownError
from entrypoints.http.authentication import FLOOR_ERRORS, REQUEST_ERRORS, USER_ERRORS, Authentication
from entrypoints.http.dependencies import Injected
from entrypoints.http.floor import min_version_in
from entrypoints.http.openapi.document import SESSION_TOKEN, problems
from entrypoints.http.plain_response import Headers, PlainResponse
from entrypoints.http.problems import IDENTITY_HEADER_NAMED, IMPERSONATED, NOT_ADMITTED, VERIFY_QUERY, HttpError

PATH = "/v1/verify"
PREFIX = "/v1/ext-authz"

ACTIVE, IN_PERSON, CACHEABLE = "active", "in_person", "cacheable"
ORIGINAL = "path"
"""The parameter behind which Envoy appends path and query of the original request."""

_ALIKE = 0.8
"""Of two names' letters, how many match: `activ`, `is_active` and `in_persn` are meant for a check."""
_CHECKS_IN_LETTERS = ("active", "inperson", "cacheable")
_LONGEST_ALIKE = 12  # Letters. A longer name is like neither, which need not be found out.
_SEPARATORS = re.compile("[=&;?#]")
_OTHERS_AT_MOST = 16
"""Parameters that are no check, in a proxy's own query: each is compared with the names of the checks."""

_IDENTITY_HEADERS = (
    b"x-auth-user-id",
    b"x-auth-session-id",
    b"x-auth-org-id",
    b"x-auth-org-role",
    b"x-auth-actor-id",
)
_CONTENT_TYPE = (b"content-type", b"text/plain; charset=utf-8")
_NO_STORE = ((b"cache-control", b"no-store"),)
_VARY = (b"vary", b"Authorization, Cookie, Origin, Connection")
"""Every header that the verdict depends on."""
_CACHED_AT_MOST_S = 60
"""A session token's usual life. Of one that lives longer, the keys and the configuration may change meanwhile."""
_IDENTITY_HEADER = re.compile(rb"x[^a-z0-9]auth[^a-z0-9]", re.IGNORECASE)


@frozen
class AnyMethodAnyPath:
    """Bring every forward-auth request to one handler: proxies keep the original method, Envoy the path as well."""

    app: ASGIApp

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] == ScopeType.HTTP and is_forward_auth(scope["path"]):
            if scope["path"].rstrip("/") != PATH:  # the query is the original request's, as it is behind `path=`
                scope["query_string"] = f"{ORIGINAL}=&".encode() + scope["query_string"]
            scope["method"] = "GET"
            scope["path"] = PATH
            # The verdict is on the token: a Host that the original request got wrong is the upstream's to judge.
            scope["headers"] = [header for header in scope["headers"] if header[0] != b"host"]
        return self.app(scope, receive, send)


def is_forward_auth(path: str) -> bool:
    return path.removesuffix("/") in (PATH, PREFIX) or keeps_original_path(path)


def keeps_original_path(path: str) -> bool:
    """Whether what follows our prefix is the path of the request that is judged, in whatever form it came."""
    return path.startswith(PREFIX + "/")


@get(
    PATH,
    summary="Forward auth",
    security=SESSION_TOKEN,
    responses=problems(
        VERIFY_QUERY,
        IDENTITY_HEADER_NAMED,
        *FLOOR_ERRORS,
        *REQUEST_ERRORS,
        *USER_ERRORS,
        NOT_ADMITTED,
        IMPERSONATED,
    ),
    response_description="Let the request through, with these identity headers in place of the client's.",
)
async def verify(request: Request[Any, Any, Any], authentication: Injected[Authentication]) -> Response[None]:
    """Decide on a request by its session token: exactly 200, or an error; never a redirect.

    Answers any method, and under `/v1/ext-authz/` any path. With `?active=true` the user must also be known here,
    not deleted and not banned, and the session not revoked; with `?in_person=true` nobody else may act in the session.
    With `?cacheable=true` a proxy may cache a 200 for as long as `Cache-Control` says, unless `active` is asked for.
    """
    checks = _checks(request.scope["query_string"])
    min_version = min_version_in(request.scope["query_string"], before=ORIGINAL)
    if min_version and ACTIVE not in checks:  # without our row there is nothing to compare it with
        raise HttpError(VERIFY_QUERY)
    _require_whole_identity(request.scope["headers"])
    identity = await authentication.identity_in(request.scope["headers"])
    headers = identity_headers(identity)
    if IN_PERSON in checks and identity.actor_id is not None:
        raise HttpError(IMPERSONATED)
    caching: Headers = _NO_STORE
    if ACTIVE in checks:
        try:
            await authentication.user_of(identity, min_version=min_version)
        except UserUnknownError:
            raise HttpError(NOT_ADMITTED) from None
    elif CACHEABLE in checks:
        caching = cache_headers(identity.expires_at, time.time())
    return PlainResponse(headers=[_CONTENT_TYPE, *caching, *headers])


def identity_headers(identity: Authenticated) -> list[tuple[bytes, bytes]]:
    """Return the five headers; one without a value is empty, so that a proxy overwrites what the client sent.

    Raises TokenRejected if a claim holds what no header can carry.
    """
    organization = identity.organization
    values = (
        identity.user_id,
        identity.session_id,
        (organization and organization.id) or "",
        (organization and organization.role) or "",
        identity.actor_id or "",
    )
    joined = "".join(values)
    if not (joined.isascii() and joined.isprintable()):
        raise TokenRejected(Reason.CLAIM_INVALID, "A claim holds characters that fit no header.")
    return list(zip(_IDENTITY_HEADERS, map(str.encode, values), strict=True))


def cache_headers(expires_at: float, now: float) -> Headers:
    """Return what lets a shared cache store a verdict until its token expires, at most a minute; seconds since 1970.

    The leeway in which an expired token still counts is left for the time that the answer travels, and for caches that
    count whole seconds. `must-revalidate` allows a shared cache to store an answer to a request with Authorization, and
    forbids it to serve a stale one (RFC 9111, sections 3.5 and 4.2.4).
    """
    seconds = int(min(expires_at - now, _CACHED_AT_MOST_S))
    if seconds <= 0:
        return _NO_STORE
    return ((b"cache-control", b"max-age=%d, must-revalidate" % seconds), _VARY)


def _checks(query: bytes) -> set[str]:
    """Return what the proxy's configuration asks for besides the token's own check, or raise HttpError(VERIFY_QUERY).

    A check that is misspelled must not be left out in silence: nearly the name, or any value but `true`, is refused.
    Behind `path=`, and in all of the query below `/v1/ext-authz`, it is the original request's query, whose parameters
    are its own affair; there `active=true` asks for more, and nothing asks for less, or for a cacheable answer.
    """
    checks: set[str] = set()
    if not query:
        return checks
    others = 0
    original = False
    for pair in query.decode("latin-1").split("&"):
        name, _, value = pair.partition("=")
        name = unquote_plus(name)
        if value == "true" and (name in (ACTIVE, IN_PERSON) or (name == CACHEABLE and not original)):
            checks.add(name)
        elif not original and name != ORIGINAL:
            for part in _SEPARATORS.split(name):  # `active%3Dtrue`, encoded once too often
                others += 1
                if others > _OTHERS_AT_MOST or _may_mean_a_check(part):
                    raise HttpError(VERIFY_QUERY)
        original = original or name == ORIGINAL
    return checks


def _may_mean_a_check(name: str) -> bool:
    letters = re.sub("[^a-z]", "", name.lower())
    return len(letters) <= _LONGEST_ALIKE and bool(get_close_matches(letters, _CHECKS_IN_LETTERS, cutoff=_ALIKE))


def _require_whole_identity(headers: Iterable[tuple[bytes, bytes]]) -> None:
    """Raise HttpError for a Connection header that names an identity header.

    A proxy that takes it for one of this connection alone (RFC 9110, section 7.6.1) drops it on the way to the
    application, in any case: without `X-Auth-Actor-Id`, an impersonated session looks like the user's own.
    """
    for name, value in headers:
        if name == b"connection" and _IDENTITY_HEADER.search(value):
            raise HttpError(IDENTITY_HEADER_NAMED)
