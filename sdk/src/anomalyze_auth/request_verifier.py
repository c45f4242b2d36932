"""The one decision about a request: which of its credentials counts, and who sends it."""

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
    """Tells who sends a request, by its raw headers.

    A Bearer token is the only credential that counts when there is one. Without it, the session cookies do: of
    several, the one that verifies, tried by the time they say they were issued, the newest first. Browsers send
    cookies unasked, also for pages of others: so they count only with authorized parties (`azp` must be one of
    them), and when the request names an Origin, that must be one of them as well, whatever the method.

    Args:
        verifier: decides about tokens.
        cookie_suffix: of this Clerk instance, see `cookie_suffix_of`; None reads `__session` alone.
        cookies: False reads the Authorization header alone.

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
                "set them, or pass cookies=False to read the Authorization header alone."
            )

    async def verify(
        self, headers: Iterable[tuple[bytes, bytes]], *, ignore_bad_cookies: bool = False
    ) -> Authenticated | None:
        """Who sends a request with these headers; None when it carries no credential.

        Args:
            headers: as in an ASGI scope.
            ignore_bad_cookies: cookies of which none verifies count as no credential; they may just be out of date.

        Raises:
            TokenRejected: the Bearer token is not valid, or none of the cookies is: then the newest one's reason.
            OriginRefused: a cookie is valid, and the request is made for a page of another origin.
            KeysUnavailable, RevocationsUnavailable: nobody can tell.
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
    """When the token says that it was issued: unproven, so it decides only which one is verified first."""
    if len(token) < _SHORTEST_TOKEN:
        return float("-inf")
    try:
        payload = base64url_decoded(opened(token).payload)
    except TokenRejected:
        return float("-inf")
    issued_at = (decoded_object(payload or b"") or {}).get("iat")
    return issued_at if isinstance(issued_at, int | float) else float("-inf")
