"""Where in a request the session token is."""

import re
from base64 import urlsafe_b64encode
from collections.abc import Iterable
from hashlib import sha1

# Blanks behind the token are cut off afterwards: a lazy match up to them would try every character in turn.
_BEARER = re.compile(rb"[ \t]*bearer +(\S.*)", re.IGNORECASE | re.DOTALL)
_SESSION_COOKIE = b"__session"


def token_from(
    headers: Iterable[tuple[bytes, bytes]], *, cookie_suffix: str | None = None, cookies: bool = True
) -> str | None:
    """The session token of a request with these raw headers, or None when there is none.

    `Authorization: Bearer …` comes first (the scheme in any case, then spaces and no tab, RFC 9110 section
    11.4); other schemes are ignored. Then the cookie `__session_<suffix>`, which belongs to one Clerk instance, then
    `__session`, which all instances on a domain share. Of several cookies of one name the first counts.
    Several Bearer headers are joined, which no verifier accepts: it must not depend on a proxy's
    choice which of two tokens is meant.

    Args:
        headers: as in an ASGI scope; names in any case.
        cookie_suffix: of this Clerk instance, see `cookie_suffix_of`; None reads no suffixed cookie.
        cookies: False reads the header alone.
    """
    return find_token(headers, cookie_suffix=cookie_suffix, cookies=cookies)[0]


def find_token(
    headers: Iterable[tuple[bytes, bytes]], *, cookie_suffix: str | None, cookies: bool
) -> tuple[str | None, bool]:
    """As `token_from`, and whether the token comes from a cookie."""
    bearer: list[bytes] = []
    cookie_headers: list[bytes] = []
    for name, value in headers:
        match name.lower():
            case b"authorization":
                credentials = _BEARER.fullmatch(value)
                if credentials is not None:
                    bearer.append(credentials.group(1).rstrip(b" \t"))
            case b"cookie":
                cookie_headers.append(value)
    if bearer:
        return b", ".join(bearer).decode("latin-1"), False
    return (_from_cookies(cookie_headers, cookie_suffix) if cookies else None), True


def cookie_suffix_of(publishable_key: str) -> str:
    """The suffix of this Clerk instance's cookies (@clerk/shared, keys.ts: getCookieSuffix)."""
    digest = sha1(publishable_key.encode(), usedforsecurity=False).digest()
    return urlsafe_b64encode(digest).decode()[:8]


def _from_cookies(cookie_headers: list[bytes], suffix: str | None) -> str | None:
    found: dict[bytes, bytes] = {}
    for header in cookie_headers:
        for pair in header.split(b";"):
            name, _, value = pair.partition(b"=")
            found.setdefault(name.strip(), value.strip().strip(b'"'))
    names = [_SESSION_COOKIE] if suffix is None else [b"__session_" + suffix.encode(), _SESSION_COOKIE]
    return next((found[name].decode("latin-1") for name in names if found.get(name)), None)
