"""Clerk's user object: as stored, and as clients get it."""

from collections.abc import Callable, Mapping
from typing import Any, TypeGuard

import msgspec

from devkit.fake_clerk.forms import METADATA
from devkit.fake_clerk.samples import sample_email, sample_user

User = Mapping[str, Any]
"""The fields of a user that differ from `_BLANK`; never changed, only replaced. Fifty thousand of them fit that way."""

_BLANK: dict[str, Any] = sample_user(
    "",
    now_ms=0,
    username=None,
    first_name=None,
    last_name=None,
    locale=None,
    has_image=False,
    primary_email_address_id=None,
    primary_phone_number_id=None,
    password_enabled=False,
    password_last_updated_at=None,
    email_addresses=[],
    phone_numbers=[],
    last_active_at=None,
)

_LOCKOUT_S = 3600

_LIKE_THEMSELVES = (
    "first_name",
    "last_name",
    "username",
    "external_id",
    "locale",
    "delete_self_enabled",
    "create_organization_enabled",
    "create_organizations_limit",
    "legal_accepted_at",
    "created_at",
    "primary_email_address_id",
    "primary_phone_number_id",
    *METADATA,
)

NewId = Callable[[str], str]


OMITTED = msgspec.UNSET
"""The value of a field that is left out altogether, for shapes that Clerk should not send."""


def document(user: User) -> dict[str, Any]:
    """Return the user as the Backend API shows it."""
    shown = {**_BLANK, **user}
    if any(value is OMITTED for value in user.values()):
        return {name: value for name, value in shown.items() if value is not OMITTED}
    return shown


def event_data(user: User) -> dict[str, Any]:
    """Return the user as webhooks carry it: without the discriminator that the Backend API adds to verifications."""
    shown = document(user)
    for name in ("email_addresses", "phone_numbers"):
        if entries := _entries(user, name):
            shown[name] = [{**entry, "verification": _bare(entry.get("verification"))} for entry in entries]
    return shown


def deleted(user: User) -> dict[str, Any]:
    """Return what is left of a user, in the answer to DELETE and in `user.deleted`."""
    external_id = user.get("external_id")
    left = {"id": user["id"], "object": "user", "deleted": True}
    return {**left, "external_id": external_id} if external_id else left


def created(form: Mapping[str, Any], user_id: str, *, now_ms: int, new_id: NewId) -> User:
    """Return the user that a checked form of POST /users makes; addresses are created verified, as Clerk does."""
    created_at = form.get("created_at") or now_ms
    user = {"id": user_id, "created_at": created_at, "updated_at": now_ms}
    emails = [sample_email(new_id("idn"), text, now_ms=now_ms) for text in form.get("email_address", ())]
    phones = [_phone(new_id("idn"), text, now_ms) for text in form.get("phone_number", ())]
    if emails:
        user |= {"email_addresses": emails, "primary_email_address_id": emails[0]["id"]}
    if phones:
        user |= {"phone_numbers": phones, "primary_phone_number_id": phones[0]["id"]}
    user |= {name: value for name in ("banned", "locked") if (value := form.get(name))}
    return changed(user, {**form, "created_at": created_at}, now_ms=now_ms)


def changed(user: User, form: Mapping[str, Any], *, now_ms: int) -> User:
    """Return the user after a checked form of PATCH /users/{id}."""
    news = {name: form[name] for name in _LIKE_THEMSELVES if name in form}
    if form.get("password"):
        news |= {"password_enabled": True, "password_last_updated_at": now_ms}
    return {**user, **news}


def taken_in(data: Mapping[str, Any]) -> User:
    """Return the user that a webhook's `data` tells of: an image that it does not name is none."""
    return {**dict.fromkeys(("image_url", "profile_image_url")), **data}


def locked(*, yes: bool) -> dict[str, Any]:
    return {"locked": yes, "lockout_expires_in_seconds": _LOCKOUT_S if yes else None}


def with_email(user: User, entry: Mapping[str, Any], *, primary: bool) -> User:
    """Return the user with one address more; the first one becomes the primary one."""
    emails = [*_entries(user, "email_addresses"), entry]
    primary_id = entry["id"] if primary or len(emails) == 1 else user.get("primary_email_address_id")
    return {**user, "email_addresses": emails, "primary_email_address_id": primary_id}


def without_email(user: User, email_id: str) -> User:
    """Return the user with one address less; another one takes the place of a primary one."""
    emails = [entry for entry in _entries(user, "email_addresses") if entry["id"] != email_id]
    primary_id = user.get("primary_email_address_id")
    if primary_id == email_id:
        primary_id = emails[0]["id"] if emails else None
    return {**user, "email_addresses": emails, "primary_email_address_id": primary_id}


def has_entry(user: User, name: str, entry_id: str) -> bool:
    """Tell whether one of `email_addresses` or `phone_numbers` has the id."""
    return any(entry.get("id") == entry_id for entry in _entries(user, name))


def identifiers(user: User) -> list[tuple[str, str]]:
    """Return what no two users of an instance may share, as (parameter, text)."""
    found = [("email_address", entry.get("email_address")) for entry in _entries(user, "email_addresses")]
    found += [("phone_number", entry.get("phone_number")) for entry in _entries(user, "phone_numbers")]
    found += [(name, user.get(name)) for name in ("username", "external_id")]
    return [(name, text.lower() if name == "email_address" else text) for name, text in found if _is_text(text)]


def primary_email(user: User) -> str | None:
    return _primary(user, "email_addresses", "email_address")


def primary_phone(user: User) -> str | None:
    return _primary(user, "phone_numbers", "phone_number")


def _primary(user: User, name: str, part: str) -> str | None:
    primary_id = user.get(f"primary_{part}_id")
    return next((entry[part] for entry in _entries(user, name) if entry.get("id") == primary_id), None)


def _entries(user: User, name: str) -> list[Mapping[str, Any]]:
    """Return the entries of a list, as far as it is one: a test may have set anything."""
    found = user.get(name)
    return [entry for entry in found if isinstance(entry, dict)] if isinstance(found, list) else []


def _is_text(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and value != ""


def _phone(phone_id: str, number: str, now_ms: int) -> dict[str, Any]:
    (sample,) = sample_user("user_", now_ms=now_ms)["phone_numbers"]
    return {**sample, "id": phone_id, "phone_number": number}


def _bare(verification: Any) -> Any:
    if not isinstance(verification, dict):
        return verification
    return {name: value for name, value in verification.items() if name != "object"}
