"""Messages on Kafka as the auth service sends them: headers and value."""

import json
from typing import Any

PROFILE: dict[str, Any] = {
    "id": "user_1",
    "version": 3,
    "email": "ada@example.com",
    "email_verified": True,
    "emails": [{"id": "idn_1", "email": "ada@example.com", "verified": True, "status": "verified"}],
    "phone": None,
    "username": None,
    "first_name": "Ada",
    "last_name": None,
    "image_url": None,
    "external_id": None,
    "public_metadata": {"plan": "pro"},
    "banned": False,
    "locked": False,
    "created_at": "2026-11-23T10:00:00.000Z",
    "updated_at": "2026-11-23T10:00:01.250Z",
}


def headers(kind: str = "updated.v1", version: int = 3, user_id: str = "user_1", **changes: Any) -> dict[str, Any]:
    """Headers of an event; one given as `...` is left out."""
    made = {
        "ce_specversion": "1.0",
        "ce_id": "6f1c2c1e-0000-4000-8000-000000000001",
        "ce_source": "/auth-service",
        "ce_type": f"anomalyze.user.{kind}",
        "ce_subject": user_id,
        "ce_time": "2026-11-23T10:00:01.250Z",
        "ce_partitionkey": user_id,
        "ce_sequence": f"{version:020}",
        "content-type": "application/json",
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        **changes,
    }
    return {name: value for name, value in made.items() if value is not ...}


def value(user: dict[str, Any] | None = None, **more: Any) -> bytes:
    return json.dumps({"user": user or PROFILE, **more}).encode()


def deleted(version: int, user_id: str = "user_1") -> tuple[dict[str, Any], bytes]:
    gone = {"id": user_id, "version": version, "deleted_at": "2026-11-23T11:00:00.000Z"}
    return headers("deleted.v1", version, user_id), value(gone)


def updated(version: int, user_id: str = "user_1") -> tuple[dict[str, Any], bytes]:
    return headers("updated.v1", version, user_id), value({**PROFILE, "id": user_id, "version": version})


def changed(version: int, user_id: str = "user_1", *, banned: bool = False) -> tuple[dict[str, Any], bytes]:
    profile = {**PROFILE, "id": user_id, "version": version, "banned": banned}
    return headers("updated.v1", version, user_id), value(profile)


def revoked(session_id: str = "sess_1", user_id: str = "user_1", **changes: Any) -> tuple[dict[str, Any], bytes]:
    """The event about a session; header changes as `headers` takes them."""
    attributes = headers(
        "",
        1,
        session_id,
        **{"ce_type": "anomalyze.session.revoked.v1", "ce_partitionkey": session_id, **changes},
    )
    session = {"id": session_id, "user_id": user_id, "revoked_at": "2026-11-23T10:00:01.250Z"}
    return attributes, json.dumps({"session": session}).encode()
