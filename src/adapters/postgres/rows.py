"""A user as a row, and back: the one place that knows both shapes."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from adapters.postgres.asyncpg_execution import Row
from domain.source_version import SourceVersion
from domain.user import EmailAddress, Profile, Tombstone, User, UserId

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def to_datetime(milliseconds: int) -> datetime:
    """Exact for every millisecond; `fromtimestamp` of a float is not."""
    return _EPOCH + milliseconds * _MILLISECOND


def to_milliseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // _MILLISECOND


def user_from(row: Mapping[str, Any] | Row) -> User | Tombstone:
    """Read one row of `users`."""
    if row["deleted_at"] is not None:
        return Tombstone(id=UserId(row["id"]), version=row["version"], deleted_at=to_milliseconds(row["deleted_at"]))
    return User(
        id=UserId(row["id"]),
        version=row["version"],
        profile=Profile(
            email=row["email"],
            email_verified=row["email_verified"],
            emails=tuple(EmailAddress(**entry) for entry in row["emails"]),
            phone=row["phone"],
            username=row["username"],
            first_name=row["first_name"],
            last_name=row["last_name"],
            image_url=row["image_url"],
            external_id=row["external_id"],
            public_metadata=row["public_metadata"],
            banned=row["banned"],
            locked=row["locked"],
            created_at=to_milliseconds(row["created_at"]),
        ),
        updated_at=to_milliseconds(row["updated_at"]),
        source=SourceVersion(row["source_updated_at"], row["source_timestamp"], row["source_digest"]),
    )


def row_from(user: User | Tombstone, *, revision: int) -> dict[str, Any]:
    """Write one row of `users`; JSON columns are text."""
    if isinstance(user, Tombstone):
        return {
            **_ERASED,
            "id": user.id,
            "version": user.version,
            "revision": revision,
            "deleted_at": to_datetime(user.deleted_at),
        }
    profile = user.profile
    return {
        "id": user.id,
        "version": user.version,
        "revision": revision,
        "email": profile.email,
        "email_verified": profile.email_verified,
        "emails": msgspec.json.encode(profile.emails).decode(),
        "phone": profile.phone,
        "username": profile.username,
        "first_name": profile.first_name,
        "last_name": profile.last_name,
        "image_url": profile.image_url,
        "external_id": profile.external_id,
        "public_metadata": msgspec.json.encode(profile.public_metadata).decode(),
        "banned": profile.banned,
        "locked": profile.locked,
        "created_at": to_datetime(profile.created_at),
        "updated_at": to_datetime(user.updated_at),
        "deleted_at": None,
        "source_updated_at": user.source.updated_at,
        "source_timestamp": user.source.timestamp,
        "source_digest": user.source.digest,
    }


_ERASED: dict[str, Any] = {
    "email": None,
    "email_verified": False,
    "emails": None,
    "phone": None,
    "username": None,
    "first_name": None,
    "last_name": None,
    "image_url": None,
    "external_id": None,
    "public_metadata": None,
    "banned": False,
    "locked": False,
    "created_at": None,
    "updated_at": None,
    "source_updated_at": None,
    "source_timestamp": None,
    "source_digest": None,
}
