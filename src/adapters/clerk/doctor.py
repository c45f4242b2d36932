"""Facts about Clerk, for `doctor`: two key sets, and the date on their answers."""

import asyncio
import base64
import hashlib
import json
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import httpx
from attrs import evolve

from adapters.clerk.connectivity import cause_of
from anomalyze_auth import PemKey
from application.doctor.clerk import KeySet
from application.failure import Cause

TIMEOUT_S = 8.0
_LARGEST_ANSWER_BYTES = 262_144


async def key_set_of(url: str | None, *, secret_key: str | None = None) -> KeySet | None:
    """Fetch a key set (RFC 7517), with the Backend API's `secret_key` where it asks for one.

    A failure is part of the result, not raised. Without a `url` nothing is fetched. The answer's `Date` is the server's
    clock to the second (RFC 9110, section 6.6.1).
    """
    if url is None:
        return None
    parts = urlsplit(url)
    silent = KeySet(address=f"{parts.hostname}{parts.path}", status=None)
    headers = {"authorization": f"Bearer {secret_key}"} if secret_key else {}
    asked = time.time()
    try:
        async with asyncio.timeout(TIMEOUT_S), httpx.AsyncClient(timeout=TIMEOUT_S, follow_redirects=False) as client:
            answer = await client.get(url, headers=headers)
    except (httpx.HTTPError, OSError) as error:
        cause, detail = cause_of(error)
        says = f"{detail}: {error}" if cause is Cause.OUT_OF_REACH and str(error) else detail
        return evolve(silent, problem=f"{cause} ({says})" if says else cause, cause=cause)
    ahead_s = _ahead_s(answer.headers.get("date"), (asked + time.time()) / 2)
    answered = evolve(silent, status=answer.status_code, clock_ahead_s=ahead_s)
    if answer.status_code != httpx.codes.OK:
        return evolve(answered, problem=f"it answers {answer.status_code}")
    keys = _keys(answer.content)
    return evolve(answered, keys=keys, problem="" if keys else "no signing key in its answer")


def thumbprint_of(source: PemKey) -> str:
    numbers = source.ready(None).public_numbers()
    return _thumbprint(_base64url(numbers.n), _base64url(numbers.e))


def _keys(content: bytes) -> dict[str, str]:
    try:
        document = json.loads(content[:_LARGEST_ANSWER_BYTES])
    except (ValueError, RecursionError):
        return {}
    entries = document.get("keys") if isinstance(document, dict) else None
    return {entry["kid"]: _thumbprint(entry["n"], entry["e"]) for entry in entries or () if _is_rsa(entry)}


def _is_rsa(entry: Any) -> bool:
    return (
        isinstance(entry, Mapping)
        and entry.get("kty") == "RSA"
        and all(isinstance(entry.get(name), str) for name in ("kid", "n", "e"))
    )


def _thumbprint(modulus: str, exponent: str) -> str:
    """RFC 7638, section 3: the required members in order of their names, without blanks."""
    canonical = json.dumps({"e": exponent, "kty": "RSA", "n": modulus.rstrip("=")}, separators=(",", ":"))
    return base64.urlsafe_b64encode(hashlib.sha256(canonical.encode()).digest()).rstrip(b"=").decode()


def _base64url(number: int) -> str:
    return base64.urlsafe_b64encode(number.to_bytes((number.bit_length() + 7) // 8, "big")).rstrip(b"=").decode()


def _ahead_s(date: str | None, now: float) -> float | None:
    try:
        # A date is truncated to the second, half a second on average.
        return parsedate_to_datetime(date or "").timestamp() + 0.5 - now
    except ValueError:
        return None
