"""Session tokens in Clerk's format (version 2), signed with a local key: for development and tests."""

import secrets
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

KEY_ID = "ins_local"
"""The `kid` of our own key; Clerk's is the instance's id."""

SESSION_CATEGORY = "cl_B7d4PD111AAA"
"""The protected header `cat` of session tokens (clerk/javascript, packages/backend/src/tokens/jwtCategories.ts)."""


def mint_session_token(  # noqa: PLR0913  # a token is made of them, and all go by name
    private_key: str,
    *,
    user_id: str,
    issuer: str,
    now_s: int,
    lifetime_s: int,
    authorized_party: str | None = None,
    organization_id: str | None = None,
    permissions: Sequence[str] = (),
    session_id: str | None = None,
) -> str:
    """Return an RS256 session token.

    Args:
        private_key: RSA, in PEM.
        user_id: becomes `sub`.
        issuer: the Frontend API's URL.
        now_s: when it is minted, seconds since 1970.
        lifetime_s: Clerk gives 60.
        authorized_party: the origin of the frontend (`azp`); Clerk leaves it out when there was none.
        organization_id: the active organisation; the user is its admin.
        permissions: in that organisation, in the long form (`org:feature:permission`).
        session_id: becomes `sid`; one that nobody knows if left out.
    """
    claims: dict[str, Any] = {
        "v": 2,
        "iss": issuer,
        "sub": user_id,
        "sid": session_id or f"sess_{secrets.token_hex(12)}",
        "jti": secrets.token_hex(10),
        "iat": now_s,
        "nbf": now_s - 10,
        "exp": now_s + lifetime_s,
        "fva": [0, -1],
        "sts": "active",
    }
    if authorized_party:
        claims["azp"] = authorized_party
    if organization_id:
        slug = organization_id.removeprefix("org_").lower()
        claims["o"] = {"id": organization_id, "slg": slug, "rol": "admin"}
        if permissions:
            claims["fea"], packed = _packed(permissions)
            claims["o"] |= packed
    headers = {"cat": SESSION_CATEGORY, "kid": KEY_ID}
    return jwt.encode(claims, signing_key(private_key), algorithm="RS256", headers=headers)


@lru_cache(maxsize=8)  # parsing checks the key, for 35 ms; a signature takes 1 ms
def signing_key(pem: str) -> RSAPrivateKey:
    """Return the private key in this PEM.

    Raises:
        ValueError: it has none, or not of RSA.
    """
    key = load_pem_private_key(pem.encode(), password=None)
    if not isinstance(key, RSAPrivateKey):
        raise ValueError("the key is not RSA")  # noqa: TRY004  # of the text's content
    return key


def _packed(permissions: Sequence[str]) -> tuple[str, dict[str, str]]:
    """Bit j of mask i grants permission j of feature i (Clerk, "Session tokens", version 2)."""
    pairs = [permission.removeprefix("org:").split(":", 1) for permission in permissions]
    features = list(dict.fromkeys(feature for feature, _ in pairs))
    names = list(dict.fromkeys(name for _, name in pairs))
    masks = (sum(1 << bit for bit, name in enumerate(names) if [feature, name] in pairs) for feature in features)
    return ",".join(f"o:{feature}" for feature in features), {"per": ",".join(names), "fpm": ",".join(map(str, masks))}
