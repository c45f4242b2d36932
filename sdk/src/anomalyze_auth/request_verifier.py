"""`RequestVerifier`: chooses the credential of a request and identifies the caller."""

from collections.abc import Iterable
from heapq import nlargest

import attrs

from anomalyze_auth._json import decoded_object
from anomalyze_auth._token import base64url_decoded, opened
from anomalyze_auth.credentials import credentials_in
from anomalyze_auth.errors import KeysUnavailable, OriginRefused, RevocationsUnavailable, TokenRejected
from anomalyze_auth.identity import Authenticated
from anomalyze_auth.verifier import SessionVerifier

COOKIES_AT_MOST = 8
"""Session cookies that are verified; browsers have two, or a few when domains and paths differ."""

_SHORTEST_TOKEN = 342  # the signature of the smallest key that is accepted, in base64url


@attrs.frozen
class RequestVerifier:
    """Identifies the caller of a request by its raw headers.

    If there is a Bearer token, nothing else is used. Without one, the session cookies are: of several, the first
    that is valid, in the order of the time at which they claim to have been issued, the newest first. Browsers send
    cookies by themselves, also for pages of other sites: so cookies need authorized parties (`azp` must be one of
    them), and if the request has an Origin, that must be one of them as well, whatever the method.

    Args:
        verifier: decides about tokens.
        cookie_suffix: of this Clerk instance, see `cookie_suffix_of`; None reads only `__session`.
        cookies: False reads only the Authorization header.

    Raises:
        ValueError: cookies without authorized parties.
    """

    verifier: SessionVerifier
    cookie_suffix: str | None = attrs.field(default=None, kw_only=True)
    cookies: bool = attrs.field(default=True, kw_only=True)

    def __attrs_post_init__(self) -> None:
        if self.cookies and not self.verifier.authorized_parties:
            raise ValueError(
                "Reading the session cookie needs a verifier with authorized_parties; "
                "set them, or pass cookies=False to read only the Authorization header."
            )

    async def verify(
        self, headers: Iterable[tuple[bytes, bytes]], *, ignore_bad_cookies: bool = False
    ) -> Authenticated | None:
        """The caller of a request with these headers; None if it has no credential.

        Args:
            headers: as in an ASGI scope.
            ignore_bad_cookies: treat cookies of which none is valid as no credential; they may be out of date.

        Raises:
            TokenRejected: the Bearer token is not valid, or none of the cookies is (with the reason of the newest).
            OriginRefused: a cookie is valid, but the request was made by a page of another origin.
            KeysUnavailable, RevocationsUnavailable: see `SessionVerifier.verify`.
        """
        found = credentials_in(headers, cookie_suffix=self.cookie_suffix)
        if found.bearer is not None:
            return await self.verifier.verify(found.bearer)
        if not self.cookies or not found.cookies:
            return None
        try:
            caller = await self._first_that_verifies(found.cookies)
        except TokenRejected:
            if ignore_bad_cookies:
                return None
            raise
        if not self.verifier.authorized_parties.issuperset(found.origins):
            raise OriginRefused
        return caller

    async def _first_that_verifies(self, tokens: tuple[str, ...]) -> Authenticated:
        refusals: list[TokenRejected] = []
        fault: KeysUnavailable | RevocationsUnavailable | None = None
        for token in nlargest(COOKIES_AT_MOST, tokens, key=_issued_at) if len(tokens) > 1 else tokens:
            try:
                return await self.verifier.verify(token)
            except TokenRejected as rejected:
                refusals.append(rejected)
            except (KeysUnavailable, RevocationsUnavailable) as unavailable:
                fault = unavailable
        raise fault or refusals[0]


def _issued_at(token: str) -> float:
    """The `iat` of a token that is not verified yet; it decides only the order of verification."""
    if len(token) < _SHORTEST_TOKEN:
        return float("-inf")
    try:
        payload = base64url_decoded(opened(token).payload)
    except TokenRejected:
        return float("-inf")
    issued_at = (decoded_object(payload or b"") or {}).get("iat")
    return issued_at if isinstance(issued_at, int | float) else float("-inf")
