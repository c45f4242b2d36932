"""Session tokens as Clerk mints them (version 2), by a key of our own: for local work and tests."""

import secrets
from typing import Any

import jwt

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
    """
    claims: dict[str, Any] = {
        "v": 2,
        "iss": issuer,
        "sub": user_id,
        "sid": f"sess_{secrets.token_hex(12)}",
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
    headers = {"cat": SESSION_CATEGORY, "kid": "ins_local"}
    return jwt.encode(claims, private_key, algorithm="RS256", headers=headers)
