"""Keys that other services show instead of a session token: long random texts, of which we keep the hashes alone."""

import hashlib
import re
import secrets
from collections.abc import Iterable
from hmac import compare_digest

from attrs import field, frozen

PREFIX = "ask_"
"""What tells a service key from a session token, and lets secret scanners find one where it should not be."""

_CONFIGURED = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]{0,63}):([0-9a-fA-F]{64})", re.ASCII)


@frozen
class ServiceKey:
    """A key as it is configured: who holds it, and the SHA-256 of its text.

    A plain hash is enough: a key of 256 random bits cannot be guessed, so there is nothing to slow down.
    """

    name: str
    digest: bytes = field(repr=False)

    def __str__(self) -> str:
        return f"{self.name}:{self.digest.hex()}"


def new_service_key(name: str) -> tuple[str, ServiceKey]:
    """Make a key up, and return its text, which is kept nowhere, and what to configure of it.

    Raises:
        ValueError: the name cannot be configured.
    """
    text = PREFIX + secrets.token_urlsafe(32)
    return text, service_key(f"{name}:{_digest(text).hex()}")


def service_key(configured: str) -> ServiceKey:
    """Read `name:hash`; the hash is in hexadecimal.

    Raises:
        ValueError: it is something else; the message does not repeat it, as it may be the key itself.
    """
    match = _CONFIGURED.fullmatch(configured)
    if match is None:
        raise ValueError("not name:hash, as `auth-service service-key new` prints it (never the key itself)")
    return ServiceKey(match[1], bytes.fromhex(match[2]))


def holder_of(text: str, keys: Iterable[ServiceKey]) -> str | None:
    """Return the name of the key with this text, or `None`; every key is compared, in constant time."""
    digest = _digest(text)
    holder = None
    for key in keys:
        if compare_digest(key.digest, digest):
            holder = key.name
    return holder


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
