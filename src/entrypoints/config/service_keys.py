"""Keys that other services send instead of a session token: random texts, of which only the hashes are configured."""

import hashlib
import re
import secrets
from collections.abc import Collection, Iterable
from hmac import compare_digest

from attrs import field, frozen

PREFIX = "ask_"  # tells it from a session token, and lets secret scanners find one where it should not be

READ = "read"
EVERYTHING = "*"
SCOPES = (READ, "ban", "unban", "lock", "unlock", "sync", "set-metadata", "revoke-sessions", "delete")
"""What a key may be made for: to look users up, and each action below `/v1/users/{id}/`, by its name."""

ANY_ORGANIZATION = "*"  # in place of the organizations whose people may manage users

_CONFIGURED = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]{0,63}):(?:([a-z+*-]+):)?([0-9a-fA-F]{64})", re.ASCII)


@frozen
class ServiceKey:
    """A key as configured: its holder, the SHA-256 of its text (256 random bits need no slower hash), its scopes."""

    name: str
    digest: bytes = field(repr=False)
    scopes: frozenset[str]

    def may(self, scope: str) -> bool:
        return not self.scopes.isdisjoint({scope, EVERYTHING})

    def __str__(self) -> str:
        """As it is configured; a key for everything is written without scopes, as all were before there were any."""
        if EVERYTHING in self.scopes:
            return f"{self.name}:{self.digest.hex()}"
        return f"{self.name}:{'+'.join(sorted(self.scopes, key=SCOPES.index))}:{self.digest.hex()}"


def new_service_key(name: str, scopes: Collection[str] = (EVERYTHING,)) -> tuple[str, ServiceKey]:
    """Generate a key; return its text, which is stored nowhere, and what to configure. Raises as `service_key`."""
    text = PREFIX + secrets.token_urlsafe(32)
    return text, service_key(f"{name}:{'+'.join(scopes)}:{_digest(text).hex()}")


def service_key(configured: str) -> ServiceKey:
    """Read `name:scopes:hash`, or `name:hash` for everything; a ValueError does not repeat it: it may be the key."""
    match = _CONFIGURED.fullmatch(configured)
    if match is None:
        raise ValueError("not name:scopes:hash, as `auth-service service-key new` prints it (never the key itself)")
    scopes = frozenset((match[2] or EVERYTHING).split("+"))
    if not scopes <= {*SCOPES, EVERYTHING}:
        known = ", ".join(SCOPES)
        raise ValueError(
            f"a scope is none of {known} (joined with +) or *, as `auth-service service-key new` takes them"
        )
    return ServiceKey(match[1], bytes.fromhex(match[3]), scopes)


def key_of(text: str, keys: Iterable[ServiceKey]) -> ServiceKey | None:
    """Return the key with this text, or `None`; every key is compared, in constant time."""
    digest = _digest(text)
    matching = [key for key in keys if compare_digest(key.digest, digest)]
    return matching[-1] if matching else None


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
