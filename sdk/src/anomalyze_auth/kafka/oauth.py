"""The client credentials grant: access tokens from any OAuth or OIDC token endpoint."""

import base64
import os
import re
import socket
import ssl
from typing import Any
from urllib.parse import quote_plus, urlsplit

import attrs
import httpx

from anomalyze_auth._json import body_of, decoded_object
from anomalyze_auth.kafka.credentials import Credential
from anomalyze_auth.kafka.tokens import FETCH_S, AccessToken, TokenFault, TokenUnavailable

_LARGEST_BYTES = 64 * 1024
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")  # RFC 6750 2.1
_SHORTEST_S, _UNKNOWN_S = 1.0, 60.0


@attrs.define
class ClientCredentials:
    """Fetches tokens with the client credentials grant (RFC 6749 4.4).

    Client id and secret are sent in the Authorization header (2.3.1). If the server does not recognise the client,
    both are sent in the body, for this and all further requests.
    """

    url: str
    client_id: str
    client_secret: Credential
    scope: str | None = None
    _in_body: bool = False

    async def __call__(self) -> AccessToken:
        """Fetch a token; TokenUnavailable: the endpoint returned none, and why."""
        status, answer = await self._ask()
        if not self._in_body and _is_unknown_client(status, answer):
            self._in_body = True
            status, answer = await self._ask()
            self._in_body = not _is_unknown_client(status, answer)
        return self.read(status, answer)

    def read(self, status: int, answer: dict[str, Any] | None) -> AccessToken:
        """The token in an answer, which is None if it is not a JSON object; TokenUnavailable: it has no token."""
        if status != 200:  # noqa: PLR2004
            raise self._refusal(status, answer)
        return self._token(answer)

    @property
    def shown_url(self) -> str:
        """The URL without its query, which may contain a secret."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}{parts.path}"

    async def _ask(self) -> tuple[int, dict[str, Any] | None]:
        secret = self.client_secret.read()
        form = {"grant_type": "client_credentials", **({"scope": self.scope} if self.scope else {})}
        headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
        if self._in_body:
            form |= {"client_id": self.client_id, "client_secret": secret}
        else:
            pair = f"{quote_plus(self.client_id)}:{quote_plus(secret)}"
            headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        try:
            async with (
                httpx.AsyncClient(timeout=FETCH_S, follow_redirects=False) as client,
                client.stream("POST", self.url, data=form, headers=headers) as response,
            ):
                body = await body_of(response.aiter_raw(), most=_LARGEST_BYTES)
        except httpx.HTTPError as error:
            raise self._unavailable(_cause(error), TokenFault.OUT_OF_REACH) from None
        if body is None:
            raise self._unavailable(f"more than {_LARGEST_BYTES} bytes", TokenFault.UNUSABLE)
        return response.status_code, decoded_object(body)

    def _token(self, answer: dict[str, Any] | None) -> AccessToken:
        if answer is None:
            raise self._unavailable("the answer is not JSON", TokenFault.UNUSABLE)
        text, kind = answer.get("access_token"), answer.get("token_type", "bearer")
        if not isinstance(text, str) or not _TOKEN.fullmatch(text):
            raise self._unavailable("the answer holds no access_token", TokenFault.UNUSABLE)
        if not isinstance(kind, str) or kind.lower() != "bearer":
            raise self._unavailable("the answer's token_type is not Bearer", TokenFault.UNUSABLE)
        lifetime = _seconds(answer.get("expires_in", _UNKNOWN_S))
        if lifetime is None:
            raise self._unavailable("the answer's expires_in is no number of seconds", TokenFault.UNUSABLE)
        return AccessToken(text, lifetime)

    def _refusal(self, status: int, answer: dict[str, Any] | None) -> TokenUnavailable:
        error = (answer or {}).get("error")
        if status in (400, 401, 403) and (isinstance(error, str) or status == 401):  # noqa: PLR2004
            code = f" {error}" if isinstance(error, str) and re.fullmatch(r"[a-z_]{1,40}", error) else ""
            return self._unavailable(f"refused, {status}{code}", TokenFault.REFUSED)
        fault = TokenFault.OUT_OF_REACH if status >= 500 or status == 429 else TokenFault.UNUSABLE  # noqa: PLR2004
        return self._unavailable(f"status {status}", fault)

    def _unavailable(self, what: str, fault: TokenFault) -> TokenUnavailable:
        return TokenUnavailable(f"{self.shown_url}: {what}", fault)


def _is_unknown_client(status: int, answer: dict[str, Any] | None) -> bool:
    return status in (400, 401) and (answer or {}).get("error") in (None, "invalid_client", "invalid_request")


def _seconds(value: Any) -> float | None:
    """A lifetime in seconds; some servers send a text."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        seconds = float(value)
    except (ValueError, OverflowError):
        return None
    return seconds if _SHORTEST_S <= seconds < float("inf") else None


def _cause(error: BaseException) -> str:
    """Why an HTTP server cannot be reached, from the innermost error, which contains no address."""
    if isinstance(error, httpx.TimeoutException):
        return "no answer in time"
    inner: BaseException | None = error
    while inner is not None:
        if isinstance(inner, ssl.SSLError):
            return getattr(inner, "verify_message", "") or f"no TLS ({inner.reason})"
        if isinstance(inner, socket.gaierror):
            return "name not resolved"
        if isinstance(inner, OSError) and inner.errno:
            return os.strerror(inner.errno).lower()
        inner = inner.__cause__ or inner.__context__
    return "the proxy refuses" if isinstance(error, httpx.ProxyError) else type(error).__name__
