"""Creates Clerk's users and signed webhooks, without storing them."""

import secrets
import string
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from attrs import field, frozen

from devkit.fake_clerk.samples import sample_deleted_user, sample_email, sample_event, sample_session, sample_user
from devkit.fake_clerk.signing import sign_webhook

_ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
_KSUID_LENGTH = 27
_KSUID_EPOCH_S = 1_400_000_000
_KSUID_RANDOM_BITS = 128

_LONG_AGO_MS = 1_735_689_600_000
"""2025-01-01: when users were created whose id does not tell."""


@frozen
class SignedWebhook:
    """A delivery as it goes over the wire; sent twice, it is the same delivery twice."""

    headers: Mapping[str, str]
    body: bytes = field(repr=False)


@frozen
class ClerkStandIn:
    secret: str = field(repr=False)

    def new_user_id(self, *, now_ms: int) -> str:
        return new_id("user", now_ms=now_ms, random_bits=secrets.randbits)

    def new_session_id(self, *, now_ms: int) -> str:
        return new_id("sess", now_ms=now_ms, random_bits=secrets.randbits)

    def user(self, user_id: str, *, now_ms: int, email: str | None = None, **overrides: Any) -> dict[str, Any]:
        """Return the user as of `now_ms`; the same id always gives the same time of creation.

        `email` replaces the primary address; `overrides` replace fields by name.
        """
        created_ms = min(_created_ms(user_id), now_ms)
        user = sample_user(user_id, now_ms=created_ms, updated_at=now_ms)
        if email is not None:
            user["email_addresses"] = [sample_email(user["primary_email_address_id"], email, now_ms=now_ms)]
        return user | overrides

    def deleted_user(self, user_id: str) -> dict[str, Any]:
        """Return what is left of a user in `user.deleted`."""
        return sample_deleted_user(user_id)

    def ended_session(self, session_id: str, user_id: str, status: str, *, now_ms: int) -> dict[str, Any]:
        """Return a session that was `ended`, `removed` or `revoked` at `now_ms`."""
        return sample_session(session_id, user_id, now_ms=now_ms, status=status)

    def webhook(self, event_type: str, data: Mapping[str, Any], *, happened_ms: int, sent_s: int) -> SignedWebhook:
        """Return a delivery of an event that happened at `happened_ms` and is sent at `sent_s`."""
        body = msgspec.json.encode(sample_event(event_type, dict(data), timestamp_ms=happened_ms))
        signature = sign_webhook(self.secret, f"msg_{secrets.token_hex(13)}", sent_s, body)
        return SignedWebhook({"content-type": "application/json", **signature}, body)


def new_id(kind: str, *, now_ms: int, random_bits: Callable[[int], int]) -> str:
    """Return an id as Clerk makes them: `user_…`, `sess_…`, and a KSUID, which holds the second it was made in."""
    number = (now_ms // 1000 - _KSUID_EPOCH_S) << _KSUID_RANDOM_BITS | random_bits(_KSUID_RANDOM_BITS)
    digits = []
    for _ in range(_KSUID_LENGTH):
        number, digit = divmod(number, len(_ALPHABET))
        digits.append(_ALPHABET[digit])
    return f"{kind}_" + "".join(reversed(digits))


def _created_ms(user_id: str) -> int:
    number = 0
    ksuid = user_id.removeprefix("user_")
    for character in ksuid:
        number = number * len(_ALPHABET) + max(_ALPHABET.find(character), 0)
    seconds = (number >> _KSUID_RANDOM_BITS) + _KSUID_EPOCH_S
    # Any 27 letters decode to some second of the years 2014 to 2150.
    return seconds * 1000 if len(ksuid) == _KSUID_LENGTH and ksuid.isalnum() else _LONG_AGO_MS
