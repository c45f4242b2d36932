"""Find the session tokens in a request's headers."""

import re
from base64 import urlsafe_b64encode
from collections.abc import Iterable
from hashlib import sha1

import attrs

# Trailing blanks are stripped afterwards: a lazy match up to them would take quadratic time.
_BEARER = re.compile(rb"[ \t]*bearer +(\S.*)", re.IGNORECASE | re.DOTALL)
_SESSION_COOKIE = b"__session"


@attrs.frozen
class Credentials:
    """The credentials in a request, not verified.

    `bearer` is the token of the Authorization header, None without one; `cookies` are the distinct values of
    the session cookies, those of this Clerk instance first; `origins` are the values of Origin.
    """

    bearer: str | None
    cookies: tuple[str, ...]
    origins: tuple[str, ...]


def credentials_in(headers: Iterable[tuple[bytes, bytes]], *, cookie_suffix: str | None = None) -> Credentials:
    """The credentials in these raw headers, as in an ASGI scope; names in any case.

    `Authorization: Bearer …`: the scheme in any case, then spaces and no tab (RFC 9110 section 11.4); other
    schemes are ignored. Several Bearer headers are joined into one text, which no verifier accepts: which of two
    tokens counts must not depend on a proxy.

    Cookies: `__session_<suffix>`, which belongs to one Clerk instance, and `__session`, which all instances on
    a domain share. A browser sends several of one name when they differ in path or domain.

    Args:
        headers: pairs of name and value.
        cookie_suffix: of this Clerk instance, see `cookie_suffix_of`; None reads no suffixed cookie.
    """
    bearer: list[bytes] = []
    cookies: list[bytes] = []
    origins: list[str] = []
    for name, value in headers:
        match name.lower():
            case b"authorization":
                credentials = _BEARER.fullmatch(value)
                if credentials is not None:
                    bearer.append(credentials.group(1).rstrip(b" \t"))
            case b"cookie":
                cookies.append(value)  # HTTP/2 may split the header
            case b"origin":
                origins.append(value.decode("latin-1"))
    token = b", ".join(bearer).decode("latin-1") if bearer else None
    tokens = _session_cookies(cookies, cookie_suffix) if cookies else ()
    return Credentials(token, tokens, tuple(origins))


def bearer_token(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """The token of `Authorization: Bearer …` in these raw headers, see `credentials_in`; None if there is none."""
    return credentials_in(headers).bearer


def cookie_suffix_of(publishable_key: str) -> str:
    """The suffix of this Clerk instance's cookies (@clerk/shared, keys.ts: getCookieSuffix)."""
    digest = sha1(publishable_key.encode(), usedforsecurity=False).digest()
    return urlsafe_b64encode(digest).decode()[:8]


def _session_cookies(cookie_headers: list[bytes], suffix: str | None) -> tuple[str, ...]:
    suffixed = None if suffix is None else _SESSION_COOKIE + b"_" + suffix.encode()
    ours: list[bytes] = []
    shared: list[bytes] = []
    for header in cookie_headers:
        # Only pairs with the cookie's name are parsed, so that a header full of semicolons is not expensive.
        at = 0
        while (found := header.find(_SESSION_COOKIE, at)) >= 0:
            start = header.rfind(b";", at, found) + 1 or at
            end = header.find(b";", found)
            pair = header[start:] if end < 0 else header[start:end]
            name, _, value = pair.partition(b"=")
            name, value = name.strip(b" \t"), value.strip(b" \t").strip(b'"')
            if value and name == suffixed:
                ours.append(value)
            elif value and name == _SESSION_COOKIE:
                shared.append(value)
            if end < 0:
                break
            at = end + 1
    return tuple(dict.fromkeys(value.decode("latin-1") for value in (*ours, *shared)))
