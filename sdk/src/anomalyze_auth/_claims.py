"""The claims of a token, which are checked after its signature."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import attrs

from anomalyze_auth._fields import identifier, invalid, missing, number, text, texts
from anomalyze_auth._organization import organization_in
from anomalyze_auth.errors import Reason, TokenRejected
from anomalyze_auth.identity import USER_ID, Authenticated


@attrs.frozen(kw_only=True)
class Expectations:
    """What a session token must contain besides a valid signature; an empty set is not checked."""

    issuer: str | None
    authorized_parties: frozenset[str]
    audience: frozenset[str]
    leeway: float


@attrs.frozen
class Times:
    """The period in which a token is valid, in seconds since the epoch."""

    expires_at: float
    not_before: float | None
    issued_at: float | None

    def require(self, leeway: float, now: float) -> None:
        """Return if the token is valid at `now`, with the edges of Clerk's own SDKs; TokenRejected: it is not."""
        if self.expires_at <= now - leeway:
            raise TokenRejected(Reason.TOKEN_EXPIRED, "The token has expired.")
        if self.not_before is not None and self.not_before > now + leeway:
            raise TokenRejected(Reason.TOKEN_NOT_ACTIVE_YET, "The token is not active yet (nbf).")
        if self.issued_at is not None and self.issued_at > now + leeway:
            raise TokenRejected(Reason.TOKEN_ISSUED_IN_THE_FUTURE, "The token was issued in the future (iat).")


@attrs.frozen
class Identity:
    """The result of verified claims; it may be reused as long as `times` allows."""

    times: Times
    caller: Callable[..., Authenticated]  # takes `claims`


def identity_in(claims: Mapping[str, Any], expected: Expectations, now: float) -> Identity:
    """The identity in claims whose signature was verified; TokenRejected: a claim is missing or not acceptable."""
    user_id = _user_id(claims)
    session_id = _session_id(claims)
    expires_at, not_before, issued_at = number(claims, "exp"), number(claims, "nbf"), number(claims, "iat")
    if expires_at is None:
        raise missing("exp")
    times = Times(expires_at, not_before, issued_at)
    times.require(expected.leeway, now)
    issuer = text(claims, "iss")
    if expected.issuer is not None and issuer != expected.issuer:
        raise TokenRejected(Reason.ISSUER_MISMATCH, "The claim iss is not the issuer of this instance.")
    authorized_party = text(claims, "azp")
    if expected.authorized_parties and authorized_party not in expected.authorized_parties:
        raise TokenRejected(Reason.AUTHORIZED_PARTY_MISMATCH, "The claim azp is missing or not an authorized party.")
    if expected.audience and expected.audience.isdisjoint(_audience(claims)):
        raise TokenRejected(Reason.AUDIENCE_MISMATCH, "The claim aud is missing or names another audience.")
    _require_active(claims)
    first_factor, second_factor = _factor_ages(claims)
    caller = partial(
        Authenticated,
        user_id=user_id,
        expires_at=expires_at,
        session_id=session_id,
        issuer=issuer,
        issued_at=issued_at,
        authorized_party=authorized_party,
        actor_id=_actor_id(claims),
        first_factor_age_minutes=first_factor,
        second_factor_age_minutes=second_factor,
        organization=organization_in(claims),
    )
    return Identity(times, caller)


def _user_id(claims: Mapping[str, Any]) -> str:
    subject = text(claims, "sub")
    if subject is None:
        raise missing("sub")
    if subject.startswith("mch_"):
        raise TokenRejected(Reason.WRONG_TOKEN_TYPE, "A machine token is not a session token.")
    if not USER_ID.fullmatch(subject):
        raise invalid("sub")
    return subject


def _session_id(claims: Mapping[str, Any]) -> str:
    """The session id. JWT templates, OAuth and machine tokens are signed with the same key, and have none.

    The header identifies most of those; tokens from before Clerk added the class `cat` are identified by this alone.
    """
    session_id = identifier(claims, "sid")
    token_id = claims.get("jti")
    machine_id = isinstance(token_id, str) and token_id.startswith(("oat_", "mt_"))
    if machine_id or (session_id is None and "client_id" in claims):
        raise TokenRejected(Reason.WRONG_TOKEN_TYPE, "An OAuth or machine token is not a session token.")
    if session_id is None:
        raise missing("sid")
    return session_id


def _audience(claims: Mapping[str, Any]) -> list[str]:
    audience = claims.get("aud")
    return [audience] if isinstance(audience, str) else texts(claims, "aud") or []


def _require_active(claims: Mapping[str, Any]) -> None:
    """Pending means signed in with an unfinished task; an unknown status is not active."""
    status = text(claims, "sts")
    if status == "pending":
        raise TokenRejected(Reason.SESSION_PENDING, "The session is pending: a sign-in task is unfinished.")
    if status not in (None, "active"):
        raise invalid("sts")


def _actor_id(claims: Mapping[str, Any]) -> str | None:
    """The impersonator. An `act` without a name is refused: it must not count as the user's own action."""
    actor = claims.get("act")
    if actor is None:
        return None
    actor_id = identifier(actor, "sub") if isinstance(actor, dict) else None
    if actor_id is None:
        raise invalid("act")
    return actor_id


def _factor_ages(claims: Mapping[str, Any]) -> tuple[int | None, int | None]:
    ages = claims.get("fva")
    if ages is None:
        return None, None
    if not isinstance(ages, list) or [type(age) for age in ages] != [int, int]:
        raise invalid("fva")
    first, second = (age if age >= 0 else None for age in ages)
    return first, second
