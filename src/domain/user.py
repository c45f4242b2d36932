"""A user as the platform keeps it, and the tombstone that a deleted one leaves."""

import re
from collections.abc import Mapping
from typing import Any, NewType

from attrs import field, frozen

from domain.source_version import SourceVersion

UserId = NewType("UserId", str)  # Clerk's user id (`user_…`): the identity that tokens, rows, events and keys carry

USER_ID = re.compile(r"user_[A-Za-z0-9_-]{1,123}", re.ASCII)
"""The same as in `anomalyze_auth.identity`, which this package cannot import; a test compares them."""


class InvalidUserIdError(ValueError):
    """The text is not a Clerk user id."""


def parse_user_id(text: object) -> UserId:
    """Return `text`, safe in a URL, a header or a key, or raise InvalidUserIdError: it is not of the form `user_…`."""
    if not isinstance(text, str) or not USER_ID.fullmatch(text):
        raise InvalidUserIdError("not a Clerk user id (user_…)")
    return UserId(text)


@frozen(kw_only=True)
class EmailAddress:
    """One of a user's addresses; the text is kept as Clerk sent it."""

    id: str
    email: str
    verified: bool
    status: str | None


@frozen(kw_only=True)
class Profile:
    """Every stored field of a user; nothing else (private and unsafe metadata, client address) is ever stored."""

    email: str | None
    email_verified: bool
    emails: tuple[EmailAddress, ...]
    phone: str | None
    username: str | None
    first_name: str | None
    last_name: str | None
    image_url: str | None
    external_id: str | None
    public_metadata: Mapping[str, Any] = field(repr=False, eq=repr)  # a dict has no hash, and takes 1 for True
    banned: bool
    locked: bool
    created_at: int  # milliseconds since 1970, UTC, at Clerk


@frozen(kw_only=True, cache_hash=True)
class User:
    """A living user: the profile, its version, and its source version."""

    id: UserId
    version: int  # 1, 2, 3 …: one step for each change that is published, with no gap
    profile: Profile = field(repr=False)
    updated_at: int  # Clerk's `updated_at` (ms) of the snapshot that brought the last published change
    source: SourceVersion


@frozen(kw_only=True)
class Tombstone:
    """What is kept of a deleted user, permanently: id, version and time, no personal data."""

    id: UserId
    version: int
    deleted_at: int  # when it was deleted at Clerk, in milliseconds


Known = User | Tombstone | None  # what is stored about a user id: a living user, a tombstone, or nothing yet
