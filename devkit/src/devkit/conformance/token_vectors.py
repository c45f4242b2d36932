"""Sign the table of tokens (`tokens.json`, described in README.md beside it) with temporary keys."""

import hashlib
import hmac
import json
import re
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from attrs import frozen
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

TABLE = Path(__file__).with_name("tokens.json")
ACCEPTED = "accepted"
HEADER = {"alg": "RS256", "cat": "cl_B7d4PD111AAA", "kid": "<<kid>>", "typ": "JWT"}
CLAIMS = {
    "azp": "<<party>>",
    "exp": "<<now+60>>",
    "fva": [3, -1],
    "iat": "<<now>>",
    "iss": "<<issuer>>",
    "jti": "0a1b2c3d4e5f",
    "nbf": "<<now-10>>",
    "sid": "sess_2abcDEFghi",
    "sts": "active",
    "sub": "<<user>>",
    "v": 2,
}
_ABSENT = "<<absent>>"
_RSA: dict[str, hashes.HashAlgorithm] = {"RS256": hashes.SHA256(), "RS384": hashes.SHA384(), "RS512": hashes.SHA512()}
_HMAC = {"HS256": hashlib.sha256, "HS384": hashlib.sha384, "HS512": hashlib.sha512}
_MOMENT = r"now([+-]\d+(?:\.\d+)?)?( in ms| as text)?"


@frozen
class Vector:
    """One row of the table.

    `expected` is ACCEPTED or a reason; `with_jwks` what it is where keys are found by `kid`, if that differs.
    `also` are the classes of the other defects that this token has.
    """

    name: str
    token_class: str
    expected: str
    with_jwks: str | None
    also: frozenset[str]
    recipe: Mapping[str, Any]


@cache
def vectors() -> tuple[Vector, ...]:
    return tuple(
        Vector(
            name=row["name"],
            token_class=group["class"],
            expected=row["expected"],
            with_jwks=row.get("with_jwks"),
            also=frozenset(row.get("also", ())),
            recipe=row,
        )
        for group in json.loads(TABLE.read_text("utf-8"))["classes"]
        for row in group["tokens"]
    )


@cache
def reasons_for_classes() -> dict[str, str]:
    """The reason for the decision about each class."""
    return {group["class"]: group["why"] for group in json.loads(TABLE.read_text("utf-8"))["classes"]}


@frozen(kw_only=True, slots=False)
class Signer:
    """Makes the tokens of the table for one service.

    Args:
        key: that the service trusts, by the id `kid`.
        issuer, party: what the service expects in `iss` and `azp`.
        user: whose tokens these are.
    """

    key: rsa.RSAPrivateKey
    kid: str
    issuer: str
    party: str
    user: str = "user_2abcDEFghi"

    @cached_property
    def _stranger(self) -> rsa.RSAPrivateKey:
        return new_key()

    @cached_property
    def jwk(self) -> dict[str, str]:
        return jwk(self.key, self.kid)

    def token(self, vector: Vector, now: float) -> str:
        """The token of this row, as if it were made at `now` (seconds since 1970)."""
        recipe = vector.recipe
        fill = self._filler(now)
        if "token" not in recipe:
            return ".".join(self._parts(recipe, fill))
        header, payload, signature = self._parts({}, fill)
        pieces = {
            "<<token>>": f"{header}.{payload}.{signature}",
            "<<header>>": header,
            "<<header of an impossible length>>": f"{header}AAAA"[: len(header) // 4 * 4 + 1],
            "<<payload>>": payload,
            "<<signature>>": signature,
            "<<signature without 3>>": signature[:-3],
            # 256 bytes leave four unused bits in the last character: another spelling of the same signature.
            "<<signature respelled>>": signature[:-1] + {"A": "B", "Q": "R", "g": "h", "w": "x"}[signature[-1]],
        }
        return re.sub("<<.+?>>", lambda found: pieces.get(found[0]) or fill(found[0]), recipe["token"])

    def session_token(self, now: float, **claims: Any) -> str:
        return ".".join(self._parts({"claims": claims}, self._filler(now)))

    def _parts(self, recipe: Mapping[str, Any], fill: Callable[[str], str]) -> tuple[str, str, str]:
        header = _segment(recipe, "header", HEADER, fill)
        payload = recipe.get("payload_segment")
        if payload is None:
            payload = _segment(recipe, "claims", CLAIMS, fill)
        if "signature" in recipe:
            return header, payload, fill(recipe["signature"])
        key = self._stranger if recipe.get("key") == "stranger" else self.key
        return header, payload, _base64url(_signature(f"{header}.{payload}".encode(), recipe.get("sign", "RS256"), key))

    def _filler(self, now: float) -> Callable[[str], str]:
        """What replaces the placeholders of a text, one by one."""
        fixed: dict[str, Callable[[], str]] = {
            "kid": lambda: self.kid,
            "issuer": lambda: self.issuer,
            "party": lambda: self.party,
            "PARTY": self.party.upper,
            "user": lambda: self.user,
            "members": lambda: _members(CLAIMS, fill),
            "header members": lambda: _members(HEADER, fill),
            "session token": lambda: ".".join(self._parts({}, fill)),
            "signature of a session token": lambda: self._parts({}, fill)[2],
            "the stranger's key": lambda: json.dumps(jwk(self._stranger, self.kid)),
            "the stranger's certificate": lambda: _base64url(
                self._stranger.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
            ),
            "100 objects": lambda: json.dumps([{"x": []}] * 100),
        }

        def one(found: re.Match[str]) -> str:
            name = found[1]
            if name in fixed:
                return fixed[name]()
            if left_out := re.fullmatch(r"members without (\w+)", name):
                return _members({member: CLAIMS[member] for member in CLAIMS if member != left_out[1]}, fill)
            if repeated := re.fullmatch(r"(.)\*(\d+)", name):
                return repeated[1] * int(repeated[2])
            moment = re.fullmatch(_MOMENT, name)
            if moment is None:
                raise ValueError(f"there is no placeholder {found[0]}")
            offset = moment[1] or "0"
            seconds = int(now) + (float(offset) if "." in offset else int(offset))
            return str(seconds * 1000 if moment[2] == " in ms" else seconds)

        def fill(text: str) -> str:
            return re.sub("<<(.+?)>>", one, text)

        return fill


def new_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65_537, key_size=2048)


def jwk(key: rsa.RSAPrivateKey, kid: str) -> dict[str, str]:
    numbers = key.public_key().public_numbers()
    return {
        "use": "sig",
        "kty": "RSA",
        "kid": kid,
        "alg": "RS256",
        "n": _base64url(numbers.n.to_bytes((numbers.n.bit_length() + 7) // 8, "big")),
        "e": _base64url(numbers.e.to_bytes((numbers.e.bit_length() + 7) // 8, "big")),
    }


def _segment(recipe: Mapping[str, Any], name: str, usual: dict[str, Any], fill: Callable[[str], str]) -> str:
    text = recipe.get(f"{name}_text")
    if text is not None:
        return _base64url(fill(text).encode(recipe.get(f"{name}_encoding", "utf-8")))
    return _base64url(f"{{{_members(usual | recipe.get(name, {}), fill)}}}".encode())


def _members(members: Mapping[str, Any], fill: Callable[[str], str]) -> str:
    present = {name: value for name, value in members.items() if value != _ABSENT}
    text = json.dumps(present, separators=(",", ":"))[1:-1]
    # What is no text loses the quotes around its placeholder.
    unquoted = r'"(<<(?:now(?:[+-][\d.]+)?(?: in ms)?|the stranger\'s key|100 objects)>>)"'
    return fill(re.sub(unquoted, r"\1", text))


def _signature(text: bytes, algorithm: str, key: rsa.RSAPrivateKey) -> bytes:
    if algorithm in _RSA:
        return key.sign(text, padding.PKCS1v15(), _RSA[algorithm])
    if algorithm == "PS256":
        return key.sign(text, padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.DIGEST_LENGTH), hashes.SHA256())
    if algorithm == "ES256":
        return ec.generate_private_key(ec.SECP256R1()).sign(text, ec.ECDSA(hashes.SHA256()))
    return hmac.new(public_pem(key).encode(), text, _HMAC[algorithm]).digest()


def public_pem(key: rsa.RSAPrivateKey) -> str:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def _base64url(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()
