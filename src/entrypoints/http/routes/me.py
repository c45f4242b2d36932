"""`GET /v1/me`: who the caller is, from our own row."""

import hashlib
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import msgspec
from litestar import Request, Response, get

from application.errors import UserUnknownError
from application.users.representation import ProfileDocument, profile_document
from domain.user import User
from entrypoints.http.authentication import FLOOR_ERRORS, REQUEST_ERRORS, USER_ERRORS, Authentication
from entrypoints.http.dependencies import Injected
from entrypoints.http.floor import min_version_in, seen_version_in
from entrypoints.http.openapi.document import SESSION_TOKEN, problems
from entrypoints.http.plain_response import NOT_MODIFIED, PlainResponse

_HEADERS = [(b"cache-control", b"private, no-cache"), (b"vary", b"Authorization, Cookie")]
_JSON = (b"content-type", b"application/json")
_ENTITY_TAG = re.compile(r'(?:W/)?"([\x21\x23-\x7e\x80-\xff]*)"')


@get(
    "/v1/me",
    summary="Read the current user",
    security=SESSION_TOKEN,
    responses=problems(*FLOOR_ERRORS, *REQUEST_ERRORS, *USER_ERRORS, UserUnknownError, not_modified=True),
)
async def read_me(
    request: Request[Any, Any, Any], authentication: Injected[Authentication]
) -> Response[ProfileDocument]:
    """Answer the profile of the session token's user; 304 when `If-None-Match` names this very content.

    The answer is not older than the versions that `min_version` and `If-None-Match` name.
    """
    min_version, seen_version = min_version_in(request.scope["query_string"]), seen_version_in(request.scope["headers"])
    identity = await authentication.identity_in(request.scope["headers"])
    user = await authentication.user_of(identity, min_version=min_version, seen_version=seen_version)
    body, tag = _representation(user)
    headers = [*_HEADERS, (b"etag", tag.encode())]
    if _matches(request.scope["headers"], tag):
        return PlainResponse(headers=headers, status=NOT_MODIFIED)
    return PlainResponse(body, [_JSON, *headers])


@lru_cache(maxsize=1024)  # an application asks for the same users again and again
def _representation(user: User) -> tuple[bytes, str]:
    body = msgspec.json.encode(profile_document(user))
    return body, entity_tag(user, body)


def entity_tag(user: User, body: bytes) -> str:
    """Return the strong ETag (RFC 9110, section 8.8.3) of this version and content."""
    return f'"{user.version}-{hashlib.blake2b(body, digest_size=12).hexdigest()}"'


def _matches(headers: Iterable[tuple[bytes, bytes]], tag: str) -> bool:
    """Whether If-None-Match names the tag, by weak comparison (RFC 9110, section 13.1.2)."""
    for name, value in headers:
        if name == b"if-none-match":
            condition = value.decode("latin-1").strip()
            if condition == "*" or tag[1:-1] in _ENTITY_TAG.findall(condition):
                return True
    return False
