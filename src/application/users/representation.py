"""The published shape of a user: the same in `/v1/me`, in events under `data.user` and in `users get --json`."""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, TypedDict

from domain.session import RevokedSession
from domain.user import Tombstone, User


class EmailDocument(TypedDict):
    id: str
    email: str
    verified: bool
    status: str | None


class ProfileDocument(TypedDict):
    """A user's profile; times are RFC 3339 in UTC with milliseconds."""

    id: str
    version: int
    email: str | None
    email_verified: bool
    emails: list[EmailDocument]
    phone: str | None
    username: str | None
    first_name: str | None
    last_name: str | None
    image_url: str | None
    external_id: str | None
    public_metadata: Mapping[str, Any]
    banned: bool
    locked: bool
    created_at: str
    updated_at: str


class TombstoneDocument(TypedDict):
    """A deleted user, without personal data."""

    id: str
    version: int
    deleted_at: str


class SessionDocument(TypedDict):
    """A revoked session: two ids and a time."""

    id: str
    user_id: str
    revoked_at: str


def rfc3339(milliseconds: int) -> str:
    """Format epoch milliseconds as RFC 3339 in UTC with milliseconds: `2026-11-23T10:00:00.000Z`."""
    seconds, rest = divmod(milliseconds, 1000)
    return f"{_to_the_second(seconds)}.{rest:03d}Z"


@lru_cache(maxsize=1024)  # changes often fall into the same second
def _to_the_second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()[:19]


def profile_document(user: User) -> ProfileDocument:
    profile = user.profile
    return {
        "id": user.id,
        "version": user.version,
        "email": profile.email,
        "email_verified": profile.email_verified,
        "emails": [
            {"id": entry.id, "email": entry.email, "verified": entry.verified, "status": entry.status}
            for entry in profile.emails
        ],
        "phone": profile.phone,
        "username": profile.username,
        "first_name": profile.first_name,
        "last_name": profile.last_name,
        "image_url": profile.image_url,
        "external_id": profile.external_id,
        "public_metadata": profile.public_metadata,
        "banned": profile.banned,
        "locked": profile.locked,
        "created_at": rfc3339(profile.created_at),
        "updated_at": rfc3339(user.updated_at),
    }


def tombstone_document(user: Tombstone) -> TombstoneDocument:
    return {"id": user.id, "version": user.version, "deleted_at": rfc3339(user.deleted_at)}


def session_document(session: RevokedSession) -> SessionDocument:
    return {"id": session.id, "user_id": session.user_id, "revoked_at": rfc3339(session.revoked_at)}


def user_document(user: User | Tombstone) -> ProfileDocument | TombstoneDocument:
    """Return the published shape of a user who may have been deleted."""
    return tombstone_document(user) if isinstance(user, Tombstone) else profile_document(user)
