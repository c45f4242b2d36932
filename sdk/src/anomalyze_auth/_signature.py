"""RS256 signatures: a session's token comes with every request of its minute, so each is checked once."""

from hashlib import sha256
from threading import Lock

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from anomalyze_auth._token import UnverifiedToken

REMEMBERED = 4096
"""Signatures known to be right, some 150 bytes each; beyond that the oldest is checked anew."""


class Signatures:
    """Tells right signatures from wrong ones, and remembers the right ones.

    What is kept is a digest, never the token, and with it the very key that proved it: when the key source gives
    another key, nothing that the old one proved counts any more. Claims are not kept: time goes on for them.
    """

    def __init__(self) -> None:
        # Half of this package's import time, and whoever only reads events does not need it.
        from jwt.algorithms import RSAAlgorithm  # noqa: PLC0415

        self._rs256 = RSAAlgorithm(RSAAlgorithm.SHA256)
        self._proven_by: dict[bytes, RSAPublicKey] = {}
        self._lock = Lock()

    def right(self, token: UnverifiedToken, key: RSAPublicKey) -> bool:
        # With the dot, which is in neither base64url nor twice in a signing input: without it, one character moved from
        # the signature to the payload would leave the digest as it was.
        digest = sha256(token.signing_input + b"." + token.signature).digest()
        if self._proven_by.get(digest) is key:
            return True
        if not self._rs256.verify(token.signing_input, key, token.signature):
            return False
        with self._lock:  # `verify_now` may be called from threads
            self._proven_by.pop(digest, None)
            self._proven_by[digest] = key
            if len(self._proven_by) > REMEMBERED:
                del self._proven_by[next(iter(self._proven_by))]
        return True
