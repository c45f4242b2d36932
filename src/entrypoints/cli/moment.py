"""A point in time, as options take it."""

import re
from datetime import UTC, datetime

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def moment(text: str, now_ms: int) -> int:
    """Return ms of a duration before `now_ms`, a date or a time (RFC 3339, else UTC), or raise ValueError."""
    if found := re.fullmatch(r"([0-9]{1,9})([smhd])", text):
        return max(0, now_ms - int(found[1]) * _SECONDS[found[2]] * 1000)
    try:
        at = datetime.fromisoformat(text)
        at = at if at.tzinfo else at.replace(tzinfo=UTC)
        return max(0, int(at.timestamp() * 1000))
    except (ValueError, OverflowError):
        raise ValueError("not a duration (24h, 7d), a date or a time (2026-11-23T10:00:00Z)") from None
