"""Makes tokens, good and bad, down to single bytes of header, payload and signature."""

import base64
import json
from functools import cache
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

NOW = 1_800_000_000
ISSUER = "https://clerk.example.com"
PARTY = "https://app.example.com"
KID = "ins_2abcDEFghi"

CATEGORY_SESSION = "cl_B7d4PD111AAA"


def private_key(name: str = "ours", bits: int = 2048) -> rsa.RSAPrivateKey:
    """One RSA key for each name and size, made when first asked for."""
    return _generated(name, bits)


@cache
def _generated(_: str, bits: int) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


@cache
def ec_private_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def pem(name: str = "ours", bits: int = 2048) -> str:
    return (
        private_key(name, bits)
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode()
    )


def jwk(name: str = "ours", kid: str = KID, bits: int = 2048, **members: Any) -> dict[str, Any]:
    numbers = private_key(name, bits).public_key().public_numbers()
    return {
        "use": "sig",
        "kty": "RSA",
        "kid": kid,
        "alg": "RS256",
        "n": base64url(numbers.n.to_bytes(bits // 8, "big")),
        "e": "AQAB",
        **members,
    }


def base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def base64url_json(value: Any) -> str:
    return base64url(json.dumps(value, separators=(",", ":")).encode())


def header(**members: Any) -> dict[str, Any]:
    """A session token's header; a member given as `...` is left out."""
    return _without_ellipsis({"alg": "RS256", "cat": CATEGORY_SESSION, "kid": KID, "typ": "JWT", **members})


def claims(now: float = NOW, /, **members: Any) -> dict[str, Any]:
    """Version 2 session claims without an organization, as Clerk issues them at `now`."""
    return _without_ellipsis(
        {
            "azp": PARTY,
            "exp": now + 60,
            "fva": [3, -1],
            "iat": now,
            "iss": ISSUER,
            "jti": "0a1b2c3d4e5f",
            "nbf": now - 10,
            "sid": "sess_2abcDEFghi",
            "sts": "active",
            "sub": "user_2abcDEFghi",
            "v": 2,
            **members,
        }
    )


def signed(
    payload: dict[str, Any] | bytes | None = None,
    protected: dict[str, Any] | bytes | None = None,
    key: str = "ours",
) -> str:
    """A token with an RS256 signature of this key over exactly this header and payload."""
    first = _segment(header() if protected is None else protected)
    return signed_segments(first, _segment(claims() if payload is None else payload), key)


def signed_segments(first: str, second: str, key: str = "ours") -> str:
    signature = private_key(key).sign(f"{first}.{second}".encode(), padding.PKCS1v15(), hashes.SHA256())
    return f"{first}.{second}.{base64url(signature)}"


def unsigned(payload: dict[str, Any] | None = None, protected: dict[str, Any] | None = None) -> str:
    return f"{_segment(protected or header())}.{_segment(payload or claims())}"


def _segment(value: dict[str, Any] | bytes) -> str:
    return base64url(value) if isinstance(value, bytes) else base64url_json(value)


def _without_ellipsis(members: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not ...}
