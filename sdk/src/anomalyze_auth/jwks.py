"""Signing keys from a JWKS URL: cached, with one fetch at a time, and kept for a bounded time during an outage."""

import asyncio
import logging
import ssl
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import attrs
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from anomalyze_auth._json import body_of, decoded_object
from anomalyze_auth.addresses import protected_url
from anomalyze_auth.errors import KeysFault, KeysUnavailable, Reason, TokenRejected
from anomalyze_auth.keys import weakness

if TYPE_CHECKING:
    import httpx

_LOG = logging.getLogger(__name__)
_LARGEST_ANSWER_BYTES = 262_144
_LONGEST_MODULUS = 1_366  # base64url characters of 8192 bits
_LONGEST_EXPONENT = 11  # of 64 bits


@attrs.frozen(kw_only=True)
class JwksState:
    """The state of the keys, for health checks and metrics.

    `age_seconds` is the time since the last successful fetch, None before the first;
    `usable` says whether tokens can be verified now; `last_error` and `last_cause` are those of the last
    fetch, None if it succeeded; `ignored` counts the entries of the last answer that are not RS256 signing keys.
    """

    usable: bool
    keys: int
    ignored: int
    age_seconds: float | None
    fetches: int
    failures: int
    last_error: str | None
    last_cause: KeysFault | None


class _UnusableAnswerError(Exception):
    """The server's answer is not an acceptable key set."""


class JwksKeys:
    """Keys from a JWKS URL, for use in one event loop.

    Fetched when first needed and again every `fresh_for`; under traffic shortly before that and in the
    background, so that no request waits. When a fetch fails, the cached keys stay in use for another
    `stale_for`, and the fetch is repeated every `retry_every`. A `kid` that is not among the keys
    causes a fetch (so a rotation needs no restart), at most one per `cooldown`, whatever the number of
    tokens. There is never more than one fetch at a time. An answer with another status than 200, too large, too
    slow, not JSON, without an RS256 key, or with two keys for one `kid` counts as a failed fetch. The first of
    several failures is logged with URL and reason, and so is the recovery.

    Args:
        url: of the key set: `<issuer>/.well-known/jwks.json`, or Clerk's Backend API with `headers`.
            https, or http for this machine and test hosts (`protected_url`).
        client: creates the HTTP client, at the first fetch; `aclose` closes it.
        headers: sent with each fetch, for example `{"Authorization": "Bearer sk_…"}`.
        fresh_for, stale_for, cooldown, retry_every: seconds, see above.
        timeout: seconds for one whole fetch, body included.
        clock: monotonic seconds.

    Raises:
        ValueError: the URL is not https, or cannot be parsed.
    """

    def __init__(  # noqa: PLR0913  (durations that an operator may have to change)
        self,
        url: str,
        *,
        client: "Callable[[], httpx.AsyncClient] | None" = None,
        headers: Mapping[str, str] | None = None,
        fresh_for: float = 300.0,
        stale_for: float = 3600.0,
        cooldown: float = 30.0,
        retry_every: float = 2.0,
        timeout: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url = protected_url(url)
        parts = urlsplit(url)
        self._shown_url = f"{parts.scheme}://{parts.netloc}{parts.path}"  # no query
        self._make_client = client or _http_client
        self._headers = {"Accept": "application/json", **(headers or {}), "Accept-Encoding": "identity"}
        self._fresh_for = fresh_for
        self._stale_for = stale_for
        self._cooldown = cooldown
        self._retry_every = retry_every
        self._timeout = timeout
        self._clock = clock
        self._client: httpx.AsyncClient | None = None
        self._fetch: asyncio.Task[None] | None = None
        self._keys: dict[str, RSAPublicKey] = {}
        self._ignored = 0
        # `_searched_at`: when a kid that is not among the keys last caused a fetch.
        self._fetched_at: float | None = None
        self._failed_at: float | None = None
        self._searched_at: float | None = None
        self._last_error: str | None = None
        self._last_cause: KeysFault | None = None
        self._fetches = 0
        self._failures = 0

    @property
    def state(self) -> JwksState:
        age = self._age()
        return JwksState(
            usable=age is not None and age < self._fresh_for + self._stale_for,
            keys=len(self._keys),
            ignored=self._ignored,
            age_seconds=age,
            fetches=self._fetches,
            failures=self._failures,
            last_error=self._last_error,
            last_cause=self._last_cause,
        )

    def ready(self, key_id: str | None) -> RSAPublicKey | None:
        """The key, while the cached keys need no refresh; else None."""
        age = self._age()
        if key_id is None or age is None or age >= self._fresh_for * 0.8:
            return None
        return self._keys.get(key_id)

    async def find(self, key_id: str | None) -> RSAPublicKey:
        """The key with this id, from memory or by a fetch.

        Raises:
            TokenRejected: the token names no key, or one that is not among the keys.
            KeysUnavailable: there are no keys, or they may be out of date.
        """
        if key_id is None:
            raise TokenRejected(Reason.UNKNOWN_KEY, "The token header has no kid.")
        fetches = self._fetches
        await self._keep_fresh()
        if not self.state.usable:
            raise KeysUnavailable(self._last_error or "no keys yet", self._last_cause or KeysFault.OUT_OF_REACH)
        key = self._keys.get(key_id)
        if key is None and self._fetches == fetches and self._may_search():
            self._searched_at = self._clock()
            await self._fetched()
            key = self._keys.get(key_id)
        if key is not None:
            return key
        if self._last_error is not None:
            raise KeysUnavailable(self._last_error, self._last_cause or KeysFault.OUT_OF_REACH)
        raise TokenRejected(Reason.UNKNOWN_KEY, "The token is signed with a key that is not ours.")

    async def refresh(self) -> JwksState:
        """Fetch now, whatever the age of the keys; for a start-up or a health check."""
        await self._fetched()
        return self.state

    async def aclose(self) -> None:
        """Cancel a running fetch and close the client."""
        fetch, client = self._fetch, self._client
        self._fetch = self._client = None
        if fetch is not None:
            fetch.cancel()
            await asyncio.gather(fetch, return_exceptions=True)
        if client is not None:
            await client.aclose()

    def _age(self) -> float | None:
        return None if self._fetched_at is None else self._clock() - self._fetched_at

    async def _keep_fresh(self) -> None:
        age = self._age()
        if age is not None and age < self._fresh_for * 0.8:
            return
        if self._failed_at is not None:
            # After a failure, callers wait only if there are no usable keys.
            if self._clock() - self._failed_at >= self._retry_every:
                self._start_fetch()
            if self._fetch is not None and not self.state.usable:
                await self._fetched()
        elif age is not None and age < self._fresh_for:
            self._start_fetch()
        else:
            await self._fetched()

    def _may_search(self) -> bool:
        if self._fetch is not None:
            return True
        now = self._clock()
        if self._failed_at is not None and now - self._failed_at < self._retry_every:
            return False
        return self._searched_at is None or now - self._searched_at >= self._cooldown

    async def _fetched(self) -> None:
        # Not awaited directly: a caller that is cancelled must not cancel the fetch that others wait for.
        await asyncio.wait([self._start_fetch()])

    def _start_fetch(self) -> asyncio.Task[None]:
        if self._fetch is None:
            self._fetch = asyncio.create_task(self._run_fetch())
        return self._fetch

    async def _run_fetch(self) -> None:
        self._fetches += 1
        try:
            async with asyncio.timeout(self._timeout):
                answer = await self._download()
            keys, ignored = _signing_keys(answer)
        except TimeoutError:
            self._failed(f"no complete answer within {self._timeout:g} s")
        except _UnusableAnswerError as error:
            self._failed(f"unusable answer: {error}")
        except Exception as error:  # noqa: BLE001  (whatever the client raises is a failure, not a rejection)
            self._failed(f"{type(error).__name__}: {error}", _cause(error))
        else:
            # The same object for a key that did not change: the cache of verified tokens compares by identity.
            self._keys = {kid: old if (old := self._keys.get(kid)) == key else key for kid, key in keys.items()}
            self._ignored = ignored
            if self._failed_at is not None:
                _LOG.warning("the signing keys at %s are within reach again", self._shown_url)
            self._fetched_at = self._clock()
            self._failed_at = self._last_error = self._last_cause = None
        finally:
            self._fetch = None

    def _failed(self, error: str, cause: KeysFault = KeysFault.OUT_OF_REACH) -> None:
        self._failures += 1
        if self._failed_at is None:
            _LOG.warning("the signing keys at %s are out of reach: %s", self._shown_url, error)
        self._failed_at = self._clock()
        self._last_error, self._last_cause = error, cause

    async def _download(self) -> bytes:
        if self._client is None:
            self._client = self._make_client()
        async with self._client.stream("GET", self._url, headers=self._headers) as response:
            if response.status_code != 200:  # noqa: PLR2004
                raise _UnusableAnswerError(f"status {response.status_code}")
            # Not decompressed: a small compressed answer can be huge, and none was asked for.
            if response.headers.get("content-encoding", "identity") != "identity":
                raise _UnusableAnswerError("compressed, although it was requested without compression")
            body = await body_of(response.aiter_raw(), most=_LARGEST_ANSWER_BYTES)
        if body is None:
            raise _UnusableAnswerError(f"more than {_LARGEST_ANSWER_BYTES} bytes")
        return body


def _http_client() -> "httpx.AsyncClient":
    import httpx  # noqa: PLC0415  (slow to import, and not needed with a PEM key)

    return httpx.AsyncClient(timeout=5.0, follow_redirects=False)


def _cause(error: BaseException | None) -> KeysFault:
    import httpx  # noqa: PLC0415  (slow to import; already loaded here)

    if isinstance(error, httpx.ProxyError):
        return KeysFault.PROXY
    while error is not None:
        if isinstance(error, ssl.SSLError):
            return KeysFault.TLS
        error = error.__cause__ or error.__context__
    return KeysFault.OUT_OF_REACH


def _signing_keys(answer: bytes) -> tuple[dict[str, RSAPublicKey], int]:
    document = decoded_object(answer)
    entries = None if document is None else document.get("keys")
    if not isinstance(entries, list):
        raise _UnusableAnswerError("not a JSON Web Key Set")
    keys: dict[str, RSAPublicKey] = {}
    ignored = 0
    for entry in entries:
        key = _signing_key(entry)
        if key is None:
            ignored += 1
            continue
        known = keys.setdefault(entry["kid"], key)
        if known.public_numbers() != key.public_numbers():
            raise _UnusableAnswerError("two different keys with one kid")
    if not keys:
        raise _UnusableAnswerError("no RS256 signing key in the key set")
    return keys, ignored


def _signing_key(entry: Any) -> RSAPublicKey | None:
    """The key in a JWK (RFC 7517), or None if it is not for verifying RS256 signatures."""
    from jwt.algorithms import RSAAlgorithm  # noqa: PLC0415  (see _proofs.py)

    if not isinstance(entry, dict) or not _is_for_rs256(entry) or not _is_sized(entry):
        return None
    try:
        key = RSAAlgorithm.from_jwk({"kty": "RSA", "n": entry["n"], "e": entry["e"]})
    except Exception:  # noqa: BLE001  (PyJWT and cryptography raise many kinds for invalid numbers)
        return None
    return key if isinstance(key, RSAPublicKey) and weakness(key) is None else None


def _is_for_rs256(entry: dict[str, Any]) -> bool:
    operations = entry.get("key_ops", ["verify"])
    return (
        entry.get("kty") == "RSA"
        and entry.get("alg", "RS256") == "RS256"
        and entry.get("use", "sig") == "sig"
        and isinstance(operations, list)
        and "verify" in operations
        and "d" not in entry  # a published private key must not be trusted
    )


def _is_sized(entry: dict[str, Any]) -> bool:
    """Whether id and numbers are texts of an acceptable length: arithmetic on a huge number takes minutes."""
    key_id, modulus, exponent = entry.get("kid"), entry.get("n"), entry.get("e")
    return (
        isinstance(key_id, str)
        and key_id != ""
        and isinstance(modulus, str)
        and len(modulus) <= _LONGEST_MODULUS
        and isinstance(exponent, str)
        and len(exponent) <= _LONGEST_EXPONENT
    )
