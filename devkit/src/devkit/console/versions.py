"""A version of a user as the page shows it: what changed, where its event is, and who has it."""

from collections.abc import Mapping
from typing import Any

import msgspec

from devkit.console.records import Event, Records

_WITHOUT_DIFFERENCE = {"version", "updated_at", "email_verified"}
"""Of a profile: what says nothing that another field does not say."""


def version(records: Records, event: Event, before: Event | None) -> dict[str, Any]:
    """Return an event as the page shows it, with what changed since the one before, which may be unknown."""
    cause = records.of_trace.get(event.trace_id)
    erased = not event.of_session and not _profile(event)
    if before and not (before.version == event.version - 1 and _profile(before)):
        before = None
    return {
        "id": event.id,
        "type": event.type,
        "version": event.version,
        "time": event.time,
        "state": event.state,
        "partition": event.partition,
        "offset": event.offset,
        "trace_id": event.trace_id,
        "error": event.error,
        "caused_by": cause.number if cause else None,
        "session": event.data.get("session", {}).get("id") if event.of_session else None,
        # What the topic no longer holds, an outage hid, or nobody published, cannot be compared with.
        "whole": before is None and event.version > 1 and not erased,
        "erased": erased,
        "changes": [] if event.of_session else _changes(before, event),
        "consumers": [] if event.of_session else _consumers(records, event),
    }


def _consumers(records: Records, event: Event) -> list[dict[str, Any]]:
    if event.partition is None or event.offset is None:
        return []
    return [
        {"group": group, "behind": max(event.offset + 1 - offsets.get(event.partition, 0), 0)}
        for group, offsets in sorted(records.positions.items())
    ]


def _changes(before: Event | None, after: Event) -> list[dict[str, Any]]:
    """Compare two snapshots field by field; the first one is all news."""
    old, new = (_profile(event) for event in (before, after))
    if "deleted_at" in new:
        return [{"field": "deleted_at", "before": None, "after": new["deleted_at"]}]
    return [
        {"field": name, "before": _text(old.get(name)), "after": _text(value)}
        for name, value in new.items()
        if name not in _WITHOUT_DIFFERENCE
        and (value != old.get(name) if before else value not in (None, [], {}, False) and name != "id")
    ]


def _profile(event: Event | None) -> Mapping[str, Any]:
    user = event.data.get("user") if event else None
    return user if isinstance(user, dict) else {}


def _text(value: Any) -> str | None:
    if value is None:
        return None
    if (
        isinstance(value, list)
        and value
        and all(isinstance(one, dict) and {"email", "status"} <= one.keys() for one in value)
    ):
        return ", ".join(f"{one['email']} ({one['status']})" for one in value)
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
