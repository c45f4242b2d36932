"""`SessionVerifier`: decides whether a text is a valid session token, and identifies its user."""

import math
import time
from collections.abc import Callable, Collection
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from anomalyze_auth._claims import Expectations, Identity, identity_in
from anomalyze_auth._json import decoded_object
from anomalyze_auth._proofs import ClaimsOf, Proof, Proofs, digest_of
from anomalyze_auth._token import UnverifiedToken, base64url_decoded, opened
from anomalyze_auth.errors import KeysUnavailable, Reason, TokenRejected
from anomalyze_auth.identity import Authenticated
from anomalyze_auth.keys import KeySource
from anomalyze_auth.origins import serialized_origin


class RevocationCheck(Protocol):
    """Refuses valid tokens whose session was revoked or whose user was deleted or banned; see `Revocations`."""

    def check(self, caller: Authenticated) -> None:
        """Return if the caller is not known to be revoked.

        Raises:
            TokenRejected: `SESSION_REVOKED`, `USER_DELETED` or `USER_BANNED`.
            RevocationsUnavailable: whether the token was revoked is not known.
        """


class SessionVerifier:
    """Verifies Clerk session tokens.

    Order: size and form, header, key, signature, then claims. So errors say nothing about the claims of a token
    without a valid signature, and no key is fetched for a token that its header already rules out.

    Args:
        keys: a `PemKey` or `JwksKeys`.
        issuer: what `iss` must equal, for example `https://clerk.example.com`. None: `iss` is not checked, which is
            safe only when the key belongs to a single instance.
        authorized_parties: origins of which `azp` must be one, for example `https://app.example.com`, in any
            spelling that a browser understands. Empty: not checked.
        audience: if set, `aud` must name one of these. Session tokens have no `aud` by default.
        leeway: tolerated clock difference in seconds.
        revocations: checked last, for tokens that are valid otherwise. None: a token is accepted until it expires.
        now: returns the time in seconds since the epoch.

    Raises:
        ValueError: a setting would check nothing, or refuse every token.
    """

    def __init__(  # noqa: PLR0913  (each is a rule of its own)
        self,
        keys: KeySource,
        *,
        issuer: str | None,
        authorized_parties: Collection[str] = (),
        audience: str | Collection[str] | None = None,
        leeway: float = 5.0,
        revocations: RevocationCheck | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        if isinstance(authorized_parties, str):
            raise TypeError("authorized_parties must be a collection of origins, not one string")
        if issuer is not None and not issuer:
            raise ValueError("issuer is empty; None is what checks no issuer")
        audiences = (audience,) if isinstance(audience, str) else audience
        if audiences is not None and not (audiences and all(audiences)):
            raise ValueError("audience is empty; None is what asks for no audience")
        if not 0 <= leeway < math.inf:  # against not-a-number, no token would ever expire
            raise ValueError("leeway is a number of seconds, 0 or more")
        self._proofs = Proofs()
        self._keys = keys
        self._expected = Expectations(
            issuer=issuer,
            authorized_parties=frozenset(serialized_origin(party) for party in authorized_parties),
            audience=frozenset(audiences or ()),
            leeway=leeway,
        )
        self._revocations = revocations
        self._now = now

    @property
    def authorized_parties(self) -> frozenset[str]:
        return self._expected.authorized_parties

    async def verify(self, token: str | bytes) -> Authenticated:
        """The identity in this token.

        Raises:
            TokenRejected: it is not a valid session token, or was revoked; `reason` says why.
            KeysUnavailable: the signing keys are unavailable, so the token cannot be verified.
            RevocationsUnavailable: whether it was revoked is not known.
        """
        digest = digest_of(token)
        if (identity := self._remembered(digest)) is not None:
            return self._let_in(identity, token)
        unverified = opened(token)
        key = self._keys.ready(unverified.key_id) or await self._keys.find(unverified.key_id)
        return self._let_in(self._proven(digest, unverified, key), token)

    def verify_now(self, token: str | bytes) -> Authenticated:
        """The same without awaiting, for keys that are already loaded (always, with a `PemKey`).

        Raises:
            TokenRejected, RevocationsUnavailable: as `verify`.
            KeysUnavailable: also when the key would have to be fetched first.
        """
        digest = digest_of(token)
        if (identity := self._remembered(digest)) is not None:
            return self._let_in(identity, token)
        unverified = opened(token)
        if (key := self._keys.ready(unverified.key_id)) is None:
            raise KeysUnavailable("the key is not loaded; await verify() to fetch it")
        return self._let_in(self._proven(digest, unverified, key), token)

    def _remembered(self, digest: bytes) -> Identity | None:
        """The identity in a token that was accepted before with the same key; TokenRejected: it is not valid now."""
        proof = self._proofs.of(digest)
        if proof is None or proof.identity is None or self._keys.ready(proof.key_id) is not proof.key:
            return None
        proof.identity.times.require(self._expected.leeway, self._now())
        return proof.identity

    def _proven(self, digest: bytes, token: UnverifiedToken, key: RSAPublicKey) -> Identity:
        self._proofs.require_signature(digest, token, key)
        payload = base64url_decoded(token.payload)
        claims = None if payload is None else decoded_object(payload)
        if claims is None:
            raise TokenRejected(Reason.TOKEN_MALFORMED, "The token payload is not base64url-encoded JSON.")
        identity = identity_in(claims, self._expected, self._now())
        self._proofs.remember(digest, Proof(key, token.key_id, identity))
        return identity

    def _let_in(self, identity: Identity, token: str | bytes) -> Authenticated:
        caller = identity.caller(claims=ClaimsOf(token))
        if self._revocations is not None:
            self._revocations.check(caller)
        return caller
