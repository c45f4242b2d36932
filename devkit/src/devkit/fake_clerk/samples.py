"""Sample objects in Clerk's shape, for a user with one address and one phone."""

from typing import Any

INSTANCE_ID = "ins_2sampleInstance"

_SESSION_MS = 7 * 86_400_000
_ABANDONED_MS = 30 * 86_400_000


def sample_user(user_id: str, *, now_ms: int, **overrides: Any) -> dict[str, Any]:
    """Return a user object with every field of API version 2025-11-10; `overrides` replace fields by name.

    `now_ms` is when it was created and last updated.
    """
    suffix = user_id.removeprefix("user_")
    return {
        "id": user_id,
        "object": "user",
        "username": "ada",
        "first_name": "Ada",
        "last_name": "Lovelace",
        "locale": "en-GB",
        "image_url": "https://img.clerk.com/xxxxxx",
        "has_image": True,
        "profile_image_url": "https://img.clerk.com/xxxxxx",
        "primary_email_address_id": f"idn_{suffix}",
        "primary_phone_number_id": f"idn_{suffix}_phone",
        "primary_web3_wallet_id": None,
        "password_enabled": True,
        "password_last_updated_at": now_ms,
        "two_factor_enabled": False,
        "totp_enabled": False,
        "backup_code_enabled": False,
        "email_addresses": [sample_email(f"idn_{suffix}", "ada@example.org", now_ms=now_ms)],
        "phone_numbers": [
            {
                "id": f"idn_{suffix}_phone",
                "object": "phone_number",
                "phone_number": "+15555550100",
                "reserved_for_second_factor": False,
                "default_second_factor": False,
                "reserved": False,
                "verification": _verification("phone_code"),
                "linked_to": [],
                "backup_codes": None,
                "created_at": now_ms,
                "updated_at": now_ms,
            }
        ],
        "web3_wallets": [],
        "passkeys": [],
        "external_accounts": [],
        "saml_accounts": [],
        "enterprise_accounts": [],
        "external_id": None,
        "public_metadata": {},
        "private_metadata": {},
        "unsafe_metadata": {},
        "banned": False,
        "locked": False,
        "lockout_expires_in_seconds": None,
        "verification_attempts_remaining": 100,
        "mfa_enabled_at": None,
        "mfa_disabled_at": None,
        "delete_self_enabled": True,
        "create_organization_enabled": True,
        "create_organizations_limit": None,
        "legal_accepted_at": None,
        "last_sign_in_at": None,
        "last_active_at": now_ms,
        "created_at": now_ms,
        "updated_at": now_ms,
        **overrides,
    }


def sample_email(email_id: str, email: str, *, now_ms: int, status: str = "verified") -> dict[str, Any]:
    """Return one entry of `email_addresses`."""
    return {
        "id": email_id,
        "object": "email_address",
        "email_address": email,
        "reserved": False,
        "verification": {**_verification("email_code"), "status": status},
        "linked_to": [],
        "matches_sso_connection": False,
        "created_at": now_ms,
        "updated_at": now_ms,
    }


def sample_deleted_user(user_id: str) -> dict[str, Any]:
    """Return what `user.deleted` carries."""
    return {"deleted": True, "id": user_id, "object": "user"}


def sample_session(session_id: str, user_id: str, *, now_ms: int, **overrides: Any) -> dict[str, Any]:
    """Return a session object, as the Backend API and webhooks show it; `overrides` replace fields by name."""
    return {
        "object": "session",
        "id": session_id,
        "user_id": user_id,
        "client_id": f"client_{session_id.removeprefix('sess_')}",
        "status": "active",
        "last_active_organization_id": None,
        "actor": None,
        "last_active_at": now_ms,
        "expire_at": now_ms + _SESSION_MS,
        "abandon_at": now_ms + _ABANDONED_MS,
        "created_at": now_ms,
        "updated_at": now_ms,
        **overrides,
    }


def sample_event(event_type: str, data: dict[str, Any], *, timestamp_ms: int) -> dict[str, Any]:
    """Return the envelope that a webhook's body is."""
    return {
        "type": event_type,
        "object": "event",
        "data": data,
        "timestamp": timestamp_ms,
        "instance_id": INSTANCE_ID,
        "event_attributes": {"http_request": {"client_ip": "", "user_agent": ""}},
    }


def _verification(strategy: str) -> dict[str, Any]:
    # The Backend API adds `object`, by which the SDK tells the kinds apart; webhooks do without it.
    return {
        "object": "verification_otp",
        "status": "verified",
        "strategy": strategy,
        "attempts": 1,
        "expire_at": None,
    }
