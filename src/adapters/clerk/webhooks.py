"""Webhooks from Clerk: the signature (svix) is verified before the content is read."""

import hmac
import re
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import msgspec
from svix.webhooks import Webhook

from adapters.clerk.payloads import Milliseconds, decode, deletion_of, revoked_session_of, snapshot_of
from application.errors import ForgedWebhookError, Forgery
from application.users.signing_key import SigningKey
from domain.session import RevokedSession
from domain.snapshot import Deletion, Snapshot

MAX_SIGNATURES_LENGTH = 4096
"""Svix sends one signature of 47 characters for each secret of the last 24 h; this is room for eighty."""

_TOLERANCE_S = 300
"""That of the library (Standard Webhooks, "verifying webhook authenticity"), which does not export it."""

_SECONDS_BELOW = 10**11
"""Real events carry `timestamp` in ms, the dashboard's examples in seconds; below this it would be 1973 in ms."""

# `id.timestamp.body` is signed: with a dot in the id, one signature would match several splits of it.
_ID = re.compile(r"[!-\-/-~]{1,255}")
# svix would accept `1e9`, `1_7…`, blanks and digits of other scripts. Twelve digits are beyond `datetime`.
_TIMESTAMP = re.compile(r"[1-9][0-9]{0,10}")
# An HMAC-SHA256 in base64. Everything else in the header (other versions, garbage, the comma of a repeated header) is
# ignored: svix would raise at the first malformed entry, before a valid one.
_SIGNATURE = re.compile(r"(?<![^\s,])v1,[A-Za-z0-9+/]{43}=(?![^\s,])")


class _Event(msgspec.Struct):
    type: str
    data: msgspec.Raw = msgspec.Raw(b"null")
    timestamp: msgspec.Raw = msgspec.Raw(b"null")


class ClerkWebhooks:
    """Fills `application.users.ports.WebhookReader`.

    Args:
        keys: one or several: while a secret is rotated, Clerk signs with either.
    """

    def __init__(self, keys: Sequence[SigningKey]) -> None:
        self._webhooks = tuple(Webhook(key.key) for key in keys)

    def read(self, headers: Mapping[str, str], body: bytes) -> Snapshot | Deletion | RevokedSession | None:
        sent_at = self._verify(headers, body)

        event = decode(body, _Event, at="body")
        match event.type:
            case "user.created" | "user.updated":
                return snapshot_of(event.data, timestamp=_timestamp(event))
            case "user.deleted":
                return deletion_of(event.data, timestamp=_happened_at(event, sent_at))
            case "session.ended" | "session.removed" | "session.revoked":
                return revoked_session_of(event.data, timestamp=_happened_at(event, sent_at))
            case _:
                return None

    def in_time(self, headers: Mapping[str, str]) -> bool:
        _, sent_at, _ = _well_formed(headers)
        return abs(time.time() - sent_at) <= _TOLERANCE_S

    def _verify(self, headers: Mapping[str, str], body: bytes) -> int:
        """Return when the attempt was sent, seconds since 1970.

        Not by the library's `verify`, which checks form and time again and takes as long as the signature.

        ForgedWebhookError: with a valid signature and the wrong time it is replayed, or a clock is wrong.
        """
        message_id, sent_at, given = _well_formed(headers)
        try:
            text = body.decode()  # svix signs text, so what is not UTF-8 was never signed
        except UnicodeDecodeError:
            raise ForgedWebhookError("the body is not UTF-8") from None

        at = datetime.fromtimestamp(sent_at, UTC)
        expected = [webhook.sign(message_id, at, text) for webhook in self._webhooks]
        genuine = any(hmac.compare_digest(one, other) for one in expected for other in given)
        ahead_s = sent_at - time.time()
        if genuine and abs(ahead_s) <= _TOLERANCE_S:
            return sent_at
        if abs(ahead_s) <= _TOLERANCE_S:
            raise ForgedWebhookError("No matching signature found", Forgery.SIGNATURE)
        problem = f"Message timestamp too {'new' if ahead_s > 0 else 'old'}"
        if not genuine:
            raise ForgedWebhookError(f"{problem}, and no matching signature", Forgery.SIGNATURE)
        says = f"{problem}: genuine, and {abs(ahead_s):.0f} s {'ahead of' if ahead_s > 0 else 'behind'} our clock"
        raise ForgedWebhookError(says, Forgery.TIME)


def _well_formed(headers: Mapping[str, str]) -> tuple[str, int, list[str]]:
    """Return id, time and signatures; ForgedWebhookError: one is missing or malformed.

    `webhook-…` are the names of Standard Webhooks, and of Svix without its brand.
    """
    message_id = headers.get("svix-id") or headers.get("webhook-id", "")
    timestamp = headers.get("svix-timestamp") or headers.get("webhook-timestamp", "")
    signatures = headers.get("svix-signature") or headers.get("webhook-signature", "")
    if not _ID.fullmatch(message_id):
        raise ForgedWebhookError("svix-id is missing or malformed")
    if not _TIMESTAMP.fullmatch(timestamp):
        raise ForgedWebhookError("svix-timestamp is missing or malformed")
    if len(signatures) > MAX_SIGNATURES_LENGTH:
        raise ForgedWebhookError("svix-signature is too long")
    well_formed = _SIGNATURE.findall(signatures)
    if not well_formed:
        raise ForgedWebhookError("svix-signature is missing or malformed")
    return message_id, int(timestamp), well_formed


def _happened_at(event: _Event, sent_at: int) -> int:
    timestamp = _timestamp(event)
    return sent_at * 1000 if timestamp is None else timestamp


def _timestamp(event: _Event) -> int | None:
    """Return when the event was made, ms."""
    if bytes(event.timestamp) == b"null":
        return None
    timestamp = decode(event.timestamp, Milliseconds, at="timestamp")
    return timestamp * 1000 if timestamp < _SECONDS_BELOW else timestamp
