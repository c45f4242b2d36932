"""RS256 signatures, cached: a client sends the same token with every request for up to a minute."""

from collections.abc import Iterator, Mapping
from hashlib import sha256
from threading import Lock
from typing import Any

import attrs
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from anomalyze_auth._claims import Identity
from anomalyze_auth._json import decoded_object
from anomalyze_auth._token import UnverifiedToken, base64url_decoded
from anomalyze_auth.errors import Reason, TokenRejected

REMEMBERED = 4096  # tokens in the cache, about 1,000 bytes each; above that the oldest is dropped


@attrs.frozen
class Proof:
    """A token whose signature this key verified."""

    key: RSAPublicKey
    key_id: str | None
    identity: Identity | None = None  # None until the claims were accepted


class Proofs:
    """Caches which tokens have a valid signature, and the identity in them.

    The cache holds a digest of the token's exact bytes, never the token, and the key object that verified it: when the
    key source returns another key, entries of the old one are not used any more. Of the claims it holds only those in
    `Authenticated`; `exp`, `nbf` and `iat` are checked each time.
    """

    def __init__(self) -> None:
        # Half of this package's import time; not needed to read events.
        from jwt.algorithms import RSAAlgorithm  # noqa: PLC0415

        self._rs256 = RSAAlgorithm(RSAAlgorithm.SHA256)
        self._proofs: dict[bytes, Proof] = {}
        self._lock = Lock()

    def of(self, digest: bytes) -> Proof | None:
        return self._proofs.get(digest)

    def require_signature(self, digest: bytes, token: UnverifiedToken, key: RSAPublicKey) -> None:
        """Check the signature, unless this key has verified it before; TokenRejected: it is not valid."""
        proof = self._proofs.get(digest)
        if proof is not None and proof.key is key:
            return
        if not self._rs256.verify(token.signing_input, key, token.signature):
            raise TokenRejected(Reason.TOKEN_INVALID_SIGNATURE, "The token signature is not valid.")
        self.remember(digest, Proof(key, token.key_id))

    def remember(self, digest: bytes, proof: Proof) -> None:
        with self._lock:  # `verify_now` may be called from threads
            self._proofs.pop(digest, None)
            self._proofs[digest] = proof
            if len(self._proofs) > REMEMBERED:
                del self._proofs[next(iter(self._proofs))]


def digest_of(token: str | bytes) -> bytes:
    return sha256(token if isinstance(token, bytes) else token.encode("utf-8", "surrogatepass")).digest()


class ClaimsOf(Mapping[str, Any]):
    """The claims of a verified token, decoded when first read: most callers need the ids only."""

    __slots__ = ("_claims", "_payload")

    def __init__(self, token: str | bytes) -> None:
        text = token if isinstance(token, str) else token.decode("latin-1")
        self._payload = text.split(".")[1]
        self._claims: dict[str, Any] | None = None

    def __getitem__(self, name: str) -> Any:
        return self._decoded()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._decoded())

    def __len__(self) -> int:
        return len(self._decoded())

    def _decoded(self) -> dict[str, Any]:
        if self._claims is None:
            self._claims = decoded_object(base64url_decoded(self._payload) or b"") or {}
        return self._claims
