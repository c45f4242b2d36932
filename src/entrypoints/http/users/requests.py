"""What requests about users say: ids, emails and metadata, checked before anything is asked."""

import re
from collections.abc import Mapping
from functools import partial
from typing import Any
from urllib.parse import unquote

import msgspec
from attrs import frozen

from application.counting import counted
from application.users.metadata_depth import MAX_METADATA_DEPTH, is_too_deep
from domain.user import InvalidUserIdError, UserId, parse_user_id
from entrypoints.http.floor import MIN_VERSION
from entrypoints.http.problems import REQUEST_NOT_VALID, HttpError

IDS_AT_MOST = 100  # in one request, repeated ones included

EMAIL = re.compile(r"[^\x00-\x1f\x7f]*@[^\x00-\x1f\x7f]*")
"""Anything that may be an address; the pattern stands in the OpenAPI document too."""

EMAIL_CHARACTERS_AT_MOST = 320  # 64 before the @ and 255 behind it (RFC 5321, section 4.5.3.1)
BODY_BYTES_AT_MOST = 64 * 1024  # Clerk takes 8 KB of metadata

_not_valid = partial(HttpError, REQUEST_NOT_VALID)


@frozen
class ByIds:
    ids: tuple[UserId, ...]  # as asked for: in that order, and as often


@frozen
class ByEmail:
    email: str


def named_user(text: str) -> UserId:
    """Return the user that a path names, or raise HttpError(REQUEST_NOT_VALID): it is no user id."""
    try:
        return parse_user_id(text)
    except InvalidUserIdError as error:
        raise _not_valid(f"The path: {error}.") from None


def wanted_users(query: bytes) -> ByIds | ByEmail:
    """Read `ids=a,b` (also `ids=a&ids=b`, beside `min_version`) or `email=…`, or raise HttpError(REQUEST_NOT_VALID).

    A `+` stays one, although forms write a blank so: addresses have the former, and a client that forgot to encode it
    would get no user for this address.
    """
    ids: list[str] = []
    emails: list[str] = []
    floored = False
    for pair in filter(None, query.split(b"&")):
        name, _, value = (_decoded(part) for part in pair.partition(b"="))
        match name:
            case "ids":
                ids += value.split(",")
            case "email":
                emails.append(value)
            case name if name == MIN_VERSION:
                floored = True
            case _:
                raise _not_valid("The query: takes `ids` (with `min_version`) or `email` and nothing else.")
    match ids, emails:
        case [[], [email]] if not floored:
            return ByEmail(_email(email))
        case [[_, *_], []]:
            return ByIds(_ids(ids))
    raise _not_valid("The query: exactly one of `ids` and `email` is needed, and `email` once, alone.")


def nothing(body: bytes) -> tuple[()]:
    """Raise HttpError unless a body is empty or `{}`: it would be ignored, and some cannot send none."""
    if body.strip():
        _fields(body)
    return ()


def metadata_patch(body: bytes) -> Mapping[str, Any]:
    """Return what `{"public_metadata": {…}}` merges, or raise HttpError(REQUEST_NOT_VALID): it is something else."""
    patch = _fields(body, "public_metadata").get("public_metadata")
    if not isinstance(patch, dict):
        raise _not_valid("The body: `public_metadata` must be there, and an object.")
    if is_too_deep(patch):
        raise _not_valid(f"The body: `public_metadata` is nested more than {MAX_METADATA_DEPTH} deep.")
    return patch


def _decoded(text: bytes) -> str:
    try:
        return unquote(text.decode("ascii"), errors="strict")
    except UnicodeDecodeError:
        raise _not_valid("The query: is not UTF-8 in percent-encoding.") from None


def _ids(texts: list[str]) -> tuple[UserId, ...]:
    if len(texts) > IDS_AT_MOST:
        raise _not_valid(f"The query: `ids` names more than {IDS_AT_MOST} users.")
    try:
        return tuple(parse_user_id(text) for text in texts)
    except InvalidUserIdError as error:
        raise _not_valid(f"The query: `ids` holds what is {error}.") from None


def _email(text: str) -> str:
    if len(text) > EMAIL_CHARACTERS_AT_MOST or not EMAIL.fullmatch(text):
        raise _not_valid("The query: `email` is not an email address.")
    return text


def _fields(body: bytes, *allowed: str) -> dict[str, Any]:
    try:
        document = msgspec.json.decode(body)
    except RecursionError:
        raise _not_valid(f"The body: is nested more than {MAX_METADATA_DEPTH} deep.") from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise _not_valid("The body: is not JSON.") from None
    if not isinstance(document, dict):
        raise _not_valid("The body: is not a JSON object.")
    if unknown := document.keys() - set(allowed):
        expected = f"`{allowed[0]}` alone" if allowed else "no fields"
        raise _not_valid(
            f"The body: has {counted(len(unknown), 'field')} that this route does not know; it takes {expected}.",
        )
    return document
