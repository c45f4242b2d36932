"""The session tokens of an instance, and the public key that they are verified with."""

import json
from collections.abc import Mapping
from typing import Any

from attrs import field, frozen
from jwt.algorithms import RSAAlgorithm

from devkit.fake_clerk.session_tokens import KEY_ID, mint_session_token, signing_key


@frozen(kw_only=True)
class SessionTokens:
    private_key: str = field(repr=False)
    """RSA, in PEM."""
    issuer: str
    authorized_party: str | None = None
    """What becomes `azp`; the Backend API's own tokens have none."""
    lifetime_s: int = 60

    def mint(self, session: Mapping[str, Any], *, now_s: int, lifetime_s: int) -> str:
        return mint_session_token(
            self.private_key,
            user_id=session["user_id"],
            issuer=self.issuer,
            now_s=now_s,
            lifetime_s=lifetime_s,
            authorized_party=self.authorized_party,
            organization_id=session["last_active_organization_id"],
            session_id=session["id"],
        )

    def jwks(self) -> dict[str, Any]:
        """Return the key set, as GET /jwks and the Frontend API's `/.well-known/jwks.json` do."""
        jwk = json.loads(RSAAlgorithm.to_jwk(signing_key(self.private_key).public_key()))
        return {"keys": [{"kty": "RSA", "use": "sig", "alg": "RS256", "kid": KEY_ID, "n": jwk["n"], "e": jwk["e"]}]}
