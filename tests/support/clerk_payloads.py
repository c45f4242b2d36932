"""What Clerk sends, for tests: the samples of production code at a fixed moment, and headers that make them genuine."""

import json
import time
from typing import Any
from uuid import uuid4

from devkit.fake_clerk.samples import sample_deleted_user, sample_email, sample_event, sample_user
from devkit.fake_clerk.signing import sign_webhook

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER_SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
NOW_MS = 1_790_000_000_000


def user_payload(user_id: str, **overrides: Any) -> dict[str, Any]:
    """Return a whole Clerk user object, created and updated at NOW_MS; overrides replace fields by name."""
    return sample_user(user_id, now_ms=NOW_MS, **overrides)


def email_payload(email_id: str, email: str, *, status: str = "verified") -> dict[str, Any]:
    """Return one entry of `email_addresses`."""
    return sample_email(email_id, email, now_ms=NOW_MS, status=status)


def deleted_payload(user_id: str) -> dict[str, Any]:
    """Return the `data` of a `user.deleted`."""
    return sample_deleted_user(user_id)


def event(event_type: str, data: dict[str, Any], timestamp: int = NOW_MS) -> dict[str, Any]:
    """Return a webhook's body as an object; `timestamp` in ms."""
    return sample_event(event_type, data, timestamp_ms=timestamp)


def encoded(document: object) -> bytes:
    """Return `document` as the bytes of a body."""
    return json.dumps(document).encode()


def signed(secret: str, body: bytes, *, msg_id: str | None = None, timestamp: int | None = None) -> dict[str, str]:
    """Return the `svix-…` headers of one attempt; `timestamp` in seconds, now unless told."""
    return sign_webhook(
        secret, msg_id or f"msg_{uuid4().hex}", int(time.time()) if timestamp is None else timestamp, body
    )
