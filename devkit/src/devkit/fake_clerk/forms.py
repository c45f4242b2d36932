"""The bodies of requests that create or change a user, as strict as Clerk's."""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import msgspec

from devkit.fake_clerk.refusals import bad_parameter, unknown_parameter

METADATA = ("public_metadata", "private_metadata", "unsafe_metadata")

METADATA_BYTES = 8 * 1024
"""Of each kind (Clerk docs, "User metadata", limits)."""

_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")
_PHONE = re.compile(r"\+[1-9]\d{6,14}")

Form = Mapping[str, Callable[[str, Any], Any]]


def checked(form: Form, body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a body as the form wants them.

    Raises:
        RefusedError: one is unknown, of the wrong type or not acceptable.
    """
    for name in body:
        if name not in form:
            raise unknown_parameter(name)
    return {name: form[name](name, value) for name, value in body.items()}


def _typed(kind: type, word: str) -> Callable[[str, Any], Any]:
    def check(name: str, value: Any) -> Any:
        if value is None or type(value) is kind:
            return value
        raise bad_parameter("form_param_type_invalid", name, f"`{name}` must be a `{word}`.")

    return check


def _each(check_one: Callable[[str, str], str]) -> Callable[[str, Any], list[str]]:
    def check(name: str, value: Any) -> list[str]:
        if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
            raise bad_parameter("form_param_type_invalid", name, f"`{name}` must be a `array`.")
        return [check_one(name, entry) for entry in value]

    return check


def email_address(name: str, value: Any) -> str:
    if isinstance(value, str) and _EMAIL.fullmatch(value):
        return value
    raise bad_parameter("form_param_format_invalid", name, f"{name} must be a valid email address.")


def _phone_number(name: str, value: str) -> str:
    if _PHONE.fullmatch(value):
        return value
    standard = "according to E.164 international standard"
    raise bad_parameter("form_param_format_invalid", name, f"{name} must be a valid phone number {standard}.")


def _metadata(name: str, value: Any) -> Any:
    if not isinstance(value, dict):
        raise bad_parameter("form_param_value_invalid", name, f"{name} must be a valid key-value object.", message="")
    return value


def _metadata_or_null(name: str, value: Any) -> Any:
    return None if value is None else _metadata(name, value)


def _time(name: str, value: Any) -> int | None:
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        moment = None
    if moment is None or moment.tzinfo is None:
        long_message = f"{name} must contain a datetime specified in RFC3339 format (e.g. `2022-10-20T10:00:27.645Z`)."
        raise bad_parameter("form_param_invalid_time", name, long_message, message="invalid format")
    return round(moment.timestamp() * 1000)


_text = _typed(str, "string")
_flag = _typed(bool, "boolean")
_number = _typed(int, "integer")

_WITHOUT_EFFECT = (
    "password_digest",
    "password_hasher",
    "totp_secret",
    "backup_codes",
    "bypass_client_trust",
    "notify_primary_email_address_changed",
    "primary_web3_wallet_id",
    "profile_image_id",
    "sign_out_of_other_sessions",
    "web3_wallet",
    "email_address_identification_status",
    "phone_number_identification_status",
)
"""What Clerk takes and a stand-in has no use for."""

_BOTH: Form = {
    **dict.fromkeys(_WITHOUT_EFFECT, lambda _, value: value),
    "first_name": _text,
    "last_name": _text,
    "username": _text,
    "external_id": _text,
    "locale": _text,
    "password": _text,
    "skip_password_checks": _flag,
    "delete_self_enabled": _flag,
    "create_organization_enabled": _flag,
    "create_organizations_limit": _number,
    "legal_accepted_at": _time,
    "skip_legal_checks": _flag,
    "created_at": _time,
}

CREATE: Form = {
    **_BOTH,
    **dict.fromkeys(METADATA, _metadata),
    "email_address": _each(email_address),
    "phone_number": _each(_phone_number),
    "skip_password_requirement": _flag,
    "skip_user_requirement": _flag,
    "banned": _flag,
    "locked": _flag,
}

# Metadata have routes of their own since API version 2026-05-12; the SDK's version still takes them here.
UPDATE: Form = {
    **_BOTH,
    **dict.fromkeys(METADATA, _metadata),
    "primary_email_address_id": _text,
    "primary_phone_number_id": _text,
}

MERGE_METADATA: Form = dict.fromkeys(METADATA, _metadata_or_null)
REPLACE_METADATA: Form = MERGE_METADATA

EMAIL_ADDRESS: Form = {
    "user_id": _text,
    "email_address": email_address,
    "verified": _flag,
    "primary": _flag,
    "notify_primary_email_address_changed": _flag,
}
SESSION: Form = {"user_id": _text, "active_organization_id": _text}
SESSION_TOKEN: Form = {"expires_in_seconds": _number}
USER_IDS: Form = {"user_ids": _each(lambda _, value: value)}


def merged(old: Any, patch: Mapping[str, Any]) -> dict[str, Any]:
    """Return `old` with `patch` merged into it deeply; a key set to null goes (Clerk, PATCH …/metadata)."""
    result = dict(old) if isinstance(old, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        elif isinstance(value, dict):
            result[name] = merged(result.get(name), value)
        else:
            result[name] = value
    return result


def check_size(name: str, metadata: Any) -> None:
    """Refuse metadata that Clerk would not keep."""
    if len(msgspec.json.encode(metadata)) > METADATA_BYTES:
        text = f"The given {name} exceeds the maximum allowed size of {METADATA_BYTES} bytes (8 KB)."
        raise bad_parameter("form_param_exceeds_allowed_size", name, text, message=text)
