"""`/v1/verify` and `/v1/ext-authz/*`: forward auth for nginx, Traefik, Caddy and Envoy."""

from typing import Any
from urllib.parse import parse_qsl

from attrs import frozen
from litestar import Request, Response, get
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Receive, Scope, Send

from anomalyze_auth import Authenticated, Reason, TokenRejected
from application.errors import UserUnknownError
from entrypoints.http.authentication import TOKEN_ERRORS, USER_ERRORS, Authentication
from entrypoints.http.dependencies import Injected
from entrypoints.http.errors import NotAdmittedError
from entrypoints.http.openapi import SESSION_TOKEN, problems

PATH = "/v1/verify"
PREFIX = "/v1/ext-authz"


@frozen
class AnyMethodAnyPath:
    """Bring every forward-auth request to one handler: proxies keep the original method, Envoy the path as well."""

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == ScopeType.HTTP and is_forward_auth(scope["path"]):
            scope["method"] = "GET"
            scope["path"] = PATH
            # The verdict is on the token: a Host that the original request got wrong is the upstream's to judge.
            scope["headers"] = [header for header in scope["headers"] if header[0] != b"host"]
        await self.app(scope, receive, send)


def is_forward_auth(path: str) -> bool:
    return path.rstrip("/") in (PATH, PREFIX) or path.startswith(PREFIX + "/")


@get(
    PATH,
    summary="Forward auth",
    security=SESSION_TOKEN,
    responses=problems(*TOKEN_ERRORS, *USER_ERRORS, NotAdmittedError),
    response_description="Let the request through, with these identity headers in place of the client's.",
)
async def verify(request: Request[Any, Any, Any], authentication: Injected[Authentication]) -> Response[None]:
    """Decide on a request by its session token: exactly 200, or an error; never a redirect.

    Answers any method, and under `/v1/ext-authz/` any path. With `?active=true` the user must also be known here,
    not deleted and not banned.
    """
    identity = await authentication.identity_in(request.scope["headers"])
    headers = identity_headers(identity)
    if _asks_for_active(request.scope["query_string"]):
        try:
            await authentication.user_of(identity)
        except UserUnknownError:
            raise NotAdmittedError from None
    return Response(None, headers=headers, media_type="text/plain")


def identity_headers(identity: Authenticated) -> dict[str, str]:
    """Return the five headers; one without a value is empty, so that a proxy overwrites what the client sent.

    Raises:
        TokenRejected: a claim holds what no header can carry.
    """
    organization = identity.organization
    headers = {
        "x-auth-user-id": identity.user_id,
        "x-auth-session-id": identity.session_id or "",
        "x-auth-org-id": (organization and organization.id) or "",
        "x-auth-org-role": (organization and organization.role) or "",
        "x-auth-actor-id": identity.actor_id or "",
    }
    if not all(value.isascii() and value.isprintable() for value in headers.values()):
        raise TokenRejected(Reason.CLAIM_INVALID, "A claim holds characters that fit no header.")
    return {**headers, "cache-control": "no-store"}


def _asks_for_active(query: bytes) -> bool:
    """One `active=true` is enough: Envoy appends the client's own query, which must not switch the check off."""
    pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
    return any(name == "active" and value.lower() in ("true", "1") for name, value in pairs)
