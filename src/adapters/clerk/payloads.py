"""Decodes Clerk's objects, of webhooks and the Backend API: strict about what is kept, and nothing else.

The shapes name only what is read, so private and unsafe metadata, client addresses and new fields of Clerk never become
objects of this process.
"""

from typing import Annotated, Any, TypeVar

import msgspec

from adapters.clerk.nesting import Json, decoded
from application.errors import UnusableWebhookError
from application.users.metadata_depth import MAX_METADATA_DEPTH, is_too_deep
from domain.session import InvalidSessionIdError, RevokedSession, parse_session_id
from domain.snapshot import Deletion, Snapshot
from domain.user import EmailAddress, InvalidUserIdError, Profile, UserId, parse_user_id

Milliseconds = Annotated[int, msgspec.Meta(ge=0, le=253_402_300_799_999)]
"""Since 1970, up to the year 9999, where RFC 3339 ends."""

T = TypeVar("T")


class _Verification(msgspec.Struct):
    status: str | None = None


class _EmailAddress(msgspec.Struct):
    id: str
    email_address: str
    verification: _Verification | None = None


class _PhoneNumber(msgspec.Struct):
    id: str
    phone_number: str


class _User(msgspec.Struct):
    """Clerk's Backend `User` (clerk/javascript, packages/backend/src/api/resources/JSON.ts, `UserJSON`).

    Fields that old API versions or other sign-up methods leave out are optional; null is the same as absent.
    """

    id: str
    created_at: Milliseconds
    updated_at: Milliseconds
    primary_email_address_id: str | None = None
    email_addresses: list[_EmailAddress] | None = None
    primary_phone_number_id: str | None = None
    phone_numbers: list[_PhoneNumber] | None = None
    username: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    image_url: str | None = None
    external_id: str | None = None
    public_metadata: dict[str, Any] | None = None
    banned: bool | None = None
    locked: bool | None = None


class Identified(msgspec.Struct):
    """The id of any object of Clerk's."""

    id: str


class _Session(msgspec.Struct):
    """The ids of Clerk's session object; client, activity, address and the user in it are never read."""

    id: str
    user_id: str


def decode(text: Json, shape: type[T], *, at: str) -> T:
    """Decode JSON into `shape`; UnusableWebhookError names the field, below `at`, and the expected type."""
    try:
        result: T = decoded(text, shape)
    except msgspec.DecodeError as error:
        # msgspec reports types and places, never values: "Expected `str`, got `int` - at `$.email_addresses[0].id`".
        problem, _, path = str(error).partition(" - at `$")
        raise UnusableWebhookError(f"{at}{path.removesuffix('`')}: {problem}") from None
    except UnicodeDecodeError:
        raise UnusableWebhookError(f"{at}: not UTF-8") from None
    return result


def snapshot_of(data: Json, *, timestamp: int | None) -> Snapshot:
    """Read Clerk's user object, or raise UnusableWebhookError: a kept field is missing or not as documented.

    `timestamp` is Clerk's, ms; without one `updated_at` is used.
    """
    user = decode(data, _User, at="data")
    emails = tuple(
        [
            EmailAddress(
                id=entry.id,
                email=entry.email_address,
                verified=(status := entry.verification.status if entry.verification else None) == "verified",
                status=status,
            )
            for entry in user.email_addresses or ()
        ]
    )
    # The primary id may name no entry (Clerk's own example does); two entries of one id: the first.
    primary_email = next((entry for entry in emails if entry.id == user.primary_email_address_id), None)
    primary_phone = next(
        (entry for entry in user.phone_numbers or () if entry.id == user.primary_phone_number_id), None
    )
    profile = Profile(
        email=primary_email.email if primary_email else None,
        email_verified=primary_email.verified if primary_email else False,
        emails=emails,
        phone=primary_phone.phone_number if primary_phone else None,
        username=user.username,
        first_name=user.first_name,
        last_name=user.last_name,
        image_url=user.image_url,
        external_id=user.external_id,
        public_metadata=user.public_metadata or {},
        banned=bool(user.banned),
        locked=bool(user.locked),
        created_at=user.created_at,
    )
    _check_texts(profile)
    if is_too_deep(profile.public_metadata):
        raise UnusableWebhookError(f"data.public_metadata: nested more than {MAX_METADATA_DEPTH} deep")
    return Snapshot.of(
        _user_id(user.id),
        profile,
        updated_at=user.updated_at,
        timestamp=user.updated_at if timestamp is None else timestamp,
    )


def deletion_of(data: Json, *, timestamp: int) -> Deletion:
    """Read a deleted user, or raise UnusableWebhookError: `id` is missing or wrong."""
    return Deletion(id=_user_id(decode(data, Identified, at="data").id), deleted_at=timestamp)


def revoked_session_of(data: Json, *, timestamp: int) -> RevokedSession:
    """Read the session that ended, or raise UnusableWebhookError: `id` or `user_id` is missing or wrong."""
    session = decode(data, _Session, at="data")
    try:
        session_id = parse_session_id(session.id)
    except InvalidSessionIdError as error:
        raise UnusableWebhookError(f"data.id: {error}") from None
    return RevokedSession(id=session_id, user_id=_user_id(session.user_id, at="user_id"), revoked_at=timestamp)


def _user_id(text: str, *, at: str = "id") -> UserId:
    try:
        return parse_user_id(text)
    except InvalidUserIdError as error:
        raise UnusableWebhookError(f"data.{at}: {error}") from None


def _check_texts(profile: Profile) -> None:
    """PostgreSQL's text cannot contain U+0000; public metadata may, as JSON escapes it."""
    texts = [
        ("phone_numbers", profile.phone),
        ("username", profile.username),
        ("first_name", profile.first_name),
        ("last_name", profile.last_name),
        ("image_url", profile.image_url),
        ("external_id", profile.external_id),
        *[("email_addresses", text) for entry in profile.emails for text in (entry.id, entry.email, entry.status)],
    ]
    for name, text in texts:
        if text is not None and "\0" in text:
            raise UnusableWebhookError(f"data.{name}: holds U+0000, which cannot be stored")
