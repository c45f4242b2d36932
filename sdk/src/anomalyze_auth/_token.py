"""The form and the header of a token, which are checked before its signature."""

import re
from base64 import urlsafe_b64decode
from functools import lru_cache

import attrs

from anomalyze_auth._json import decoded_object
from anomalyze_auth.errors import Reason, TokenRejected

# A session token must fit a 4 KiB cookie together with its attributes; one from a header may be longer
# because of custom claims, but no usual server takes a header line beyond this.
MAX_TOKEN_LENGTH = 16_384

_COMPACT_JWS = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]*)\.([A-Za-z0-9_-]*)")
_OPAQUE_PREFIXES = ("mt_", "m2m_", "oat_", "ak_")

# Token classes that Clerk signs with one and the same key, told apart by the protected header `cat`
# (@clerk/backend, tokens/jwtCategories.ts). The second means: no class.
_SESSION_CATEGORIES = frozenset({"cl_B7d4PD111AAA", "cl_I7d4PD111III"})

# By length modulo 4: the last characters that leave the unused bits of a base64url text zero. With any other
# last character, different texts would decode to the same signature.
_LAST_CHARACTERS = {2: frozenset("AQgw"), 3: frozenset("AEIMQUYcgkosw048")}


@attrs.frozen
class UnverifiedToken:
    """A well-formed RS256 token with the header of a session token; its signature is not checked yet."""

    signing_input: bytes
    payload: str
    signature: bytes
    key_id: str | None


def opened(token: str | bytes) -> UnverifiedToken:
    """Check form and header; TokenRejected: not a compact JWS, or the header is not that of a session token."""
    if len(token) > MAX_TOKEN_LENGTH:
        raise TokenRejected(Reason.TOKEN_TOO_LARGE, f"The token is longer than {MAX_TOKEN_LENGTH} characters.")
    text = token if isinstance(token, str) else token.decode("latin-1")
    form = _COMPACT_JWS.fullmatch(text)
    if form is None:
        raise _not_a_jws(text)
    header_segment, payload, signature_segment = form.groups()
    key_id = _key_id_of_judged(header_segment)
    signature = base64url_decoded(signature_segment)
    if signature is None:
        raise TokenRejected(Reason.TOKEN_MALFORMED, "The token signature is not base64url.")
    return UnverifiedToken(f"{header_segment}.{payload}".encode("ascii"), payload, signature, key_id)


@lru_cache(maxsize=64)
def _key_id_of_judged(header_segment: str) -> str | None:
    """Check the header and return its `kid`. Cached, since all tokens of one Clerk instance have the same header."""
    header_bytes = base64url_decoded(header_segment)
    header = None if header_bytes is None else decoded_object(header_bytes)
    if header is None:
        raise TokenRejected(Reason.TOKEN_MALFORMED, "The token header is not base64url-encoded JSON.")
    if header.get("alg") != "RS256":
        raise TokenRejected(Reason.TOKEN_INVALID_ALGORITHM, "The token is not signed with RS256.")
    if "crit" in header or header.get("b64", True) is not True:
        raise TokenRejected(Reason.UNSUPPORTED_HEADER, "The token header asks for an extension (crit).")
    if _is_token_in_token(header.get("cty")):
        raise TokenRejected(Reason.UNSUPPORTED_HEADER, "The token header says that it holds another token (cty).")
    if header.get("typ", "JWT") != "JWT":
        raise TokenRejected(Reason.WRONG_TOKEN_TYPE, "The token header typ is not JWT: not a session token.")
    category = header.get("cat")
    if "cat" in header and not (isinstance(category, str) and category in _SESSION_CATEGORIES):
        what = "The token header cat is that of a JWT template or a machine token."
        raise TokenRejected(Reason.WRONG_TOKEN_TYPE, what)
    key_id = header.get("kid")
    if not isinstance(key_id, str) and "kid" in header:
        raise TokenRejected(Reason.TOKEN_MALFORMED, "The token header kid is not a string.")
    return key_id


def base64url_decoded(segment: str) -> bytes | None:
    """The bytes of an unpadded base64url text, whose characters the caller has checked; None if it is not canonical."""
    remainder = len(segment) % 4
    if remainder == 0:
        return urlsafe_b64decode(segment)
    if segment[-1] not in _LAST_CHARACTERS.get(remainder, ()):
        return None
    return urlsafe_b64decode(segment + "=="[remainder - 2 :])


def _is_token_in_token(content_type: object) -> bool:
    # RFC 7519 section 7.2 step 8: the payload is then another token, not a set of claims.
    return isinstance(content_type, str) and content_type.lower() in ("jwt", "application/jwt")


def _not_a_jws(text: str) -> TokenRejected:
    if text.startswith(_OPAQUE_PREFIXES):
        return TokenRejected(Reason.WRONG_TOKEN_TYPE, "An API key, OAuth or machine token is not a session token.")
    return TokenRejected(Reason.TOKEN_MALFORMED, "The token is not three base64url parts joined by dots.")
