"""Converts a user to a row and back."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from operator import attrgetter, itemgetter
from typing import Any

import msgspec
from attrs import fields

from adapters.postgres.asyncpg_execution import Row
from adapters.postgres.tables import users
from domain.source_version import SourceVersion
from domain.user import EmailAddress, Profile, Tombstone, User, UserId

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)

_SAME = [field.name for field in fields(Profile) if field.name not in ("emails", "public_metadata", "created_at")]
"""Fields of the profile that equal their columns."""
_same_in_row, _same_in_profile = itemgetter(*_SAME), attrgetter(*_SAME)

_COLUMNS = [column.name for column in users.c]
_columns = itemgetter(*_COLUMNS)
_emails = msgspec.json.Decoder(tuple[EmailAddress, ...])

_ERASED: dict[str, Any] = {column.name: None if column.nullable else False for column in users.c}
"""A row without personal data, derived from the table, so that a new column is erased too."""


def to_datetime(milliseconds: int) -> datetime:
    """Exact for every millisecond; `fromtimestamp` of a float is not."""
    return _EPOCH + milliseconds * _MILLISECOND


def to_milliseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // _MILLISECOND


def user_from(row: Mapping[str, Any] | Row) -> User | Tombstone:
    """Read one row of `users`; JSON columns are text."""
    if row["deleted_at"] is not None:
        return Tombstone(id=UserId(row["id"]), version=row["version"], deleted_at=to_milliseconds(row["deleted_at"]))
    return User(
        id=UserId(row["id"]),
        version=row["version"],
        profile=Profile(
            **dict(zip(_SAME, _same_in_row(row), strict=True)),
            emails=_emails.decode(row["emails"]),
            public_metadata=msgspec.json.decode(row["public_metadata"]),
            created_at=to_milliseconds(row["created_at"]),
        ),
        updated_at=to_milliseconds(row["updated_at"]),
        source=SourceVersion(row["source_updated_at"], row["source_timestamp"], row["source_digest"]),
    )


def user_again_from(row: Mapping[str, Any] | Row) -> User | Tombstone:
    """Do as `user_from`, with a cache by the row's values; for reads only, because a row that is written is new."""
    return _remembered(_columns(row))


@lru_cache(maxsize=1024)  # requests repeat the same users
def _remembered(values: tuple[Any, ...]) -> User | Tombstone:
    return user_from(dict(zip(_COLUMNS, values, strict=True)))


def row_from(user: User | Tombstone, *, revision: int) -> dict[str, Any]:
    """Write one row of `users`; JSON columns are text."""
    if isinstance(user, Tombstone):
        deleted_at = to_datetime(user.deleted_at)
        return _ERASED | {"id": user.id, "version": user.version, "revision": revision, "deleted_at": deleted_at}
    profile = user.profile
    return {
        **dict(zip(_SAME, _same_in_profile(profile), strict=True)),
        "id": user.id,
        "version": user.version,
        "revision": revision,
        "emails": msgspec.json.encode(profile.emails).decode(),
        "public_metadata": msgspec.json.encode(profile.public_metadata).decode(),
        "created_at": to_datetime(profile.created_at),
        "updated_at": to_datetime(user.updated_at),
        "deleted_at": None,
        "source_updated_at": user.source.updated_at,
        "source_timestamp": user.source.timestamp,
        "source_digest": user.source.digest,
    }
