"""Make Kafka records of the rows of `consumer.json`, which README.md beside it describes."""

import base64
import json
import uuid
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from attrs import frozen

TABLE = Path(__file__).with_name("consumer.json")
_TIME = "2026-11-23T10:00:00.000Z"
_TYPES = {
    "created": "anomalyze.user.created.v1",
    "updated": "anomalyze.user.updated.v1",
    "deleted": "anomalyze.user.deleted.v1",
    "state": "anomalyze.user.state.v1",
    "gone": "anomalyze.user.state.v1",
    "revoked": "anomalyze.session.revoked.v1",
}


@frozen
class Record:
    """A Kafka record, as a producer sends it."""

    key: bytes
    headers: tuple[tuple[str, bytes | None], ...]
    value: bytes | None


@cache
def table() -> dict[str, Any]:
    """The records one by one, and the scenes that are played at a consumer."""
    document: dict[str, Any] = json.loads(TABLE.read_text("utf-8"))
    return document


def record(row: Mapping[str, Any], user: str, session: str = "sess_1") -> Record:
    """The record of this row, about this user or session."""
    kind, version = row["event"], row.get("version", 1)
    subject = session if kind == "revoked" else user
    attributes: dict[str, str | None] = {
        "ce_specversion": "1.0",
        "ce_id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"{kind}/{subject}/{version}")),
        "ce_source": "/auth-service",
        "ce_type": _TYPES[kind],
        "ce_subject": subject,
        "ce_time": _TIME,
        "ce_partitionkey": subject,
        "ce_sequence": f"{version:020}",
        "content-type": "application/json",
        **row.get("headers", {}),
    }
    headers: list[tuple[str, bytes | None]] = [
        (name, text.encode()) for name, text in attributes.items() if text is not None
    ]
    for name, encoded in row.get("headers_base64", {}).items():
        value = None if encoded is None else base64.b64decode(encoded)
        headers = [(other, kept) for other, kept in headers if other != name]
        headers.append((name, value))
    headers += [(name, text.encode()) for name, text in row.get("more_headers", ())]
    return Record(subject.encode(), tuple(headers), _value(row, kind, user, session, version))


def _value(row: Mapping[str, Any], kind: str, user: str, session: str, version: int) -> bytes | None:
    if "value" in row:
        return None if row["value"] is None else row["value"].replace("<<user>>", user).encode()
    if kind == "gone":
        return None
    data: dict[str, Any]
    if kind == "revoked":
        data = {"session": {"id": session, "user_id": user, "revoked_at": _TIME}}
    elif kind == "deleted":
        data = {"user": {"id": user, "version": version, "deleted_at": _TIME}}
    else:
        data = {"user": {**_profile(user, version), **row.get("user", {})}}
        if kind != "state":
            data["changed"] = [] if kind == "created" else ["first_name"]
    return json.dumps(data, separators=(",", ":")).encode()


def _profile(user: str, version: int) -> dict[str, Any]:
    email = {"id": "idn_1", "email": "ada@example.com", "verified": True, "status": "verified"}
    return {
        "id": user,
        "version": version,
        "email": email["email"],
        "email_verified": True,
        "emails": [email],
        "phone": None,
        "username": None,
        "first_name": f"Ada {version}",
        "last_name": None,
        "image_url": None,
        "external_id": None,
        "public_metadata": {},
        "banned": False,
        "locked": False,
        "created_at": _TIME,
        "updated_at": _TIME,
    }
