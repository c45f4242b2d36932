"""Sources of the public keys that verify signatures."""

import re
from base64 import b64decode
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

_SMALLEST_KEY_BITS = 2048  # RFC 7518 section 3.3
_LARGEST_KEY_BITS = 8192
_SMALLEST_EXPONENT = 65_537  # FIPS 186-5 section 5.4; with 1, anything is its own signature

_PEM_LINE = re.compile(r"-----(BEGIN|END)([A-Z ]*)-----")


class KeySource(Protocol):
    """Returns the public key for the `kid` of a token."""

    def ready(self, key_id: str | None) -> RSAPublicKey | None:
        """The key if it is already loaded; else None, and `find` decides."""

    async def find(self, key_id: str | None) -> RSAPublicKey:
        """The key, fetched if necessary.

        Raises:
            TokenRejected: there is no such key.
            KeysUnavailable: whether there is one is not known at the moment.
        """


class PemKey:
    r"""One configured public key: no network. The `kid` of a token is ignored.

    `pem` may come from an environment variable: header and footer may be
    missing, line ends may be missing or escaped (`\n`), and quotes around it are removed.

    Raises:
        ValueError: it is not an RSA public key of 2048 to 8192 bits; the message says what it is.
    """

    def __init__(self, pem: str) -> None:
        self._key = _read(pem)

    def ready(self, key_id: str | None) -> RSAPublicKey:  # noqa: ARG002  (a PEM has no kid to compare)
        return self._key

    async def find(self, key_id: str | None) -> RSAPublicKey:  # noqa: ARG002
        return self._key


def weakness(key: RSAPublicKey) -> str | None:
    """Why this key is not accepted, or None."""
    if not _SMALLEST_KEY_BITS <= key.key_size <= _LARGEST_KEY_BITS:
        return f"an RSA key of {key.key_size} bits (2048 to 8192 are accepted)"
    exponent = key.public_numbers().e
    if exponent < _SMALLEST_EXPONENT:
        return f"an RSA key with the exponent {exponent} (65537 is usual and the smallest accepted)"
    return None


def _read(pem: str) -> RSAPublicKey:
    # A tenth of this package's import time; not needed with a JWKS URL.
    from cryptography.hazmat.primitives.serialization import load_der_public_key  # noqa: PLC0415

    # Escaped twice where JSON or YAML holds a value that was escaped already.
    text = re.sub(r"\\+[rn]", "\n", pem).strip().strip("\"'")
    if not text:
        raise ValueError("The PEM key is empty.")
    for line in _PEM_LINE.finditer(text):
        kind = line.group(2).strip()
        if kind not in ("PUBLIC KEY", "RSA PUBLIC KEY"):
            raise ValueError(f"The PEM key is a {kind or 'nameless block'}; a PUBLIC KEY is needed.")
    body = "".join(_PEM_LINE.sub("", text).split())
    try:
        key = load_der_public_key(b64decode(body, validate=True))
    except Exception:  # noqa: BLE001  (cryptography raises many kinds for bytes that are not a key)
        key = None
    if key is None:
        raise ValueError("The PEM key cannot be read: it must be base64 of an RSA public key.")
    if not isinstance(key, RSAPublicKey):
        raise ValueError("The PEM key is not an RSA key; session tokens are signed with RS256.")  # noqa: TRY004
    weak = weakness(key)
    if weak is not None:
        raise ValueError(f"The PEM key is {weak}.")
    return key
