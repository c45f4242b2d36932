"""The version of a user that a caller has seen: what is answered must not be older."""

import re
from collections.abc import Iterable
from urllib.parse import unquote_plus

from entrypoints.http.problems import MIN_VERSION_NOT_VALID, HttpError

MIN_VERSION = "min_version"

LARGEST = 2**63 - 1  # of the column

_POSITIVE = re.compile(r"[1-9][0-9]{0,18}", re.ASCII)
_OUR_TAG = re.compile(rb'"([1-9][0-9]{0,17})-[0-9a-f]{24}')
"""An ETag as `/v1/me` makes them; a proxy that compressed the answer may have added to it."""


def min_version_in(query: bytes, *, before: str | None = None) -> int:
    """Return `min_version` if it is not behind `before`, else 0; HttpError: no positive integer, or two."""
    if not query:
        return 0
    found = []
    for pair in query.decode("latin-1").split("&"):
        name, _, value = pair.partition("=")
        name = unquote_plus(name)
        if name == before:
            break
        if name == MIN_VERSION:
            found.append(unquote_plus(value))
    if not found:
        return 0
    [text, *more] = found
    if more or not _POSITIVE.fullmatch(text) or int(text) > LARGEST:
        raise HttpError(MIN_VERSION_NOT_VALID)
    return int(text)


def seen_version_in(headers: Iterable[tuple[bytes, bytes]]) -> int:
    """Return the newest version that If-None-Match names, 0 when it names none of ours."""
    versions = [
        int(version) for name, value in headers if name == b"if-none-match" for version in _OUR_TAG.findall(value)
    ]
    return max(versions, default=0)
